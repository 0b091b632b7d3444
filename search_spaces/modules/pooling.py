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


class PaddedAverage3d(nn.Module):
    """Average of windows of a volume, padding left out; torch's own refuses maps smaller than its window."""

    def __init__(self, kernel: tuple[int, ...], stride: int, padding: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        # From the last axis to the first, both sides, as `pad` wants it.
        self.padding = tuple(side for size in reversed(padding) for side in (size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = torch.ones_like(x[:1, :1])
        return self._mean(x) / self._mean(inside)

    def _mean(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, self.padding)
        return F.avg_pool3d(padded, self.kernel, self.stride)

    def extra_repr(self) -> str:
        return f"{self.kernel}, stride={self.stride}, padding={self.padding}"
