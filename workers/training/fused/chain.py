"""Which layers are computed at once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Chain:
    """2x2 maximum pooling, batch normalisation or both, then an activation."""

    is_pooled: bool
    norm: nn.BatchNorm2d | None
    activation: str = "none"

    def computed_by(self, function: type[torch.autograd.Function], x: Tensor) -> Tensor:
        """Return what a function of (x, weight, bias, chain) makes of a map x (B, C, H, W).

        Raises:
            ValueError: One row of channels is left to be normalised, whose deviation is zero.
        """
        lines, columns = (side // 2 if self.is_pooled else side for side in x.shape[2:])
        if self.norm is not None and x.shape[0] * lines * columns == 1:
            raise ValueError(f"expected more than one value per channel in training, got {tuple(x.shape)}")
        weight, bias = (self.norm.weight, self.norm.bias) if self.norm else (None, None)
        y: Tensor = function.apply(x, weight, bias, self)  # type: ignore[no-untyped-call]
        return y


@dataclass(frozen=True, slots=True)
class Operation:
    """What computes chains on one device.

    Args:
        run: Returns (B, C, H', W') of a chain and x (B, C, H, W), channels last, as the modules would in
            training; the running statistics of the normalisation move as its module would move them.
        functions: Activations that may be part of a chain.
        try_out: Compiles what shows whether anything can be, on such a device, and raises whatever it raises.
    """

    run: Callable[[Chain, Tensor], Tensor]
    functions: tuple[str, ...]
    try_out: Callable[[torch.device], None]
