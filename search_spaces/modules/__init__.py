"""Torch modules of architectures; the only part of the package that imports torch."""

from search_spaces.modules.network import Network, build

__all__ = ["Network", "build"]
