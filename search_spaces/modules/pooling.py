"""Pooling over the whole map."""

import torch
from torch import nn


class GlobalPooling(nn.Module):
    """Average or maximum over all spatial axes: (B, C, *S) to (B, C)."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(2, x.dim()))
        return x.mean(axes) if self.function == "avg" else x.amax(axes)

    def extra_repr(self) -> str:
        return self.function
