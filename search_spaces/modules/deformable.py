"""Deformable convolution in plain torch."""

import torch
from torch import nn


class DeformableConvolutionBlock(nn.Module):
    """Convolve a map (B, C, H, W) at positions moved by offsets (B, 2 x taps, H', W').

    Source: Dai et al. 2017, arXiv:1703.06211, equations 2 to 4. The offset of tap t is (dy, dx) in channels
    2t and 2t + 1; the taps go row by row.
    """

    taps: torch.Tensor

    def __init__(
        self, in_channels: int, channels: int, kernel: tuple[int, ...], *, stride: int, groups: int
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.weight = nn.Parameter(torch.empty(channels, in_channels // groups, *kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.kernel = kernel

    def forward(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = offsets.shape
        # Positions in fewer bits would be coarser than the offsets, and wrong on large maps.
        rows, columns = self._positions(offsets.float())
        seen = _interpolated(x, rows, columns)
        weight = self.weight.reshape(self.groups, -1, self.weight[0].numel())
        # (B, groups, C / groups x taps, H' x W')
        windows = seen.reshape(batch, self.groups, -1, height * width)
        return (weight.to(windows.dtype) @ windows).reshape(batch, -1, height, width)

    def _positions(self, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where each tap of each output looks, (B, taps, H', W') rows and columns."""
        batch, _, height, width = offsets.shape
        high, wide = self.kernel
        moved = offsets.reshape(batch, high * wide, 2, height, width)
        span = {"device": offsets.device, "dtype": offsets.dtype}
        tap_rows = (torch.arange(high, **span) - high // 2).repeat_interleave(wide).reshape(-1, 1, 1)  # type: ignore[call-overload]
        tap_columns = (torch.arange(wide, **span) - wide // 2).repeat(high).reshape(-1, 1, 1)  # type: ignore[call-overload]
        rows = self.stride * torch.arange(height, **span).reshape(-1, 1)  # type: ignore[call-overload]
        columns = self.stride * torch.arange(width, **span)  # type: ignore[call-overload]
        return tap_rows + rows + moved[:, :, 0], tap_columns + columns + moved[:, :, 1]

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, stride={self.stride}, groups={self.groups}"


def _interpolated(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Read a map (B, C, H, W) bilinearly at (B, T, H', W') positions: (B, C, T, H', W').

    Whole positions are read exactly, which `grid_sample` with its scaled coordinates does not do.
    """
    top, left = rows.floor(), columns.floor()
    down, right = rows - top, columns - left
    total: torch.Tensor | None = None
    for step_down, share_down in ((0, 1 - down), (1, down)):
        for step_right, share_right in ((0, 1 - right), (1, right)):
            corner = _read(x, top + step_down, left + step_right, share_down * share_right)
            total = corner if total is None else total + corner
    assert total is not None
    return total


def _read(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Read whole positions, each times its share; what lies outside reads as zero."""
    batch, channels, height, width = x.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows.clamp(0, height - 1).long() * width + columns.clamp(0, width - 1).long()
    flat = index.reshape(batch, 1, -1).expand(-1, channels, -1)
    values = x.reshape(batch, channels, -1).gather(2, flat).reshape(batch, channels, *rows.shape[1:])
    return values * (share * inside).unsqueeze(1).to(values.dtype)
