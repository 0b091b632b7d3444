"""Other forward passes for modules, for a while."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def forward_passes(replacements: Mapping[nn.Module, Callable[..., Tensor]]) -> Iterator[None]:
    """Run modules by other forward passes; afterwards they are as they were, and so are weights and names."""
    for module, forward in replacements.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in replacements:
            del module.forward
