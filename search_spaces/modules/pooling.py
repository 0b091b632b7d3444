"""Pooling over the whole map, or over a few bins of it."""

import torch
import torch.nn.functional as F
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


class AdaptivePooling(nn.Module):
    """Average or maximum over bins: (B, C, *S) to (B, C x bins) with `bins` an axis each."""

    def __init__(self, function: str, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.bins = bins
        axes = len(bins) - 1
        average = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[axes]
        largest = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[axes]
        self._pool = average if function == "avg" else largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self._pool(x, self.bins)  # type: ignore[arg-type]  # one size an axis
        return pooled.flatten(1)

    def extra_repr(self) -> str:
        return f"{self._pool.__name__}, {self.bins}"
