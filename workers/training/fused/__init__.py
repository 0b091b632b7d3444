"""Pooling, batch normalisation and activation of images in one operation."""

from workers.training.fused.apply import fused_layers

__all__ = ["fused_layers"]
