"""Modules that move channels."""

import torch
from torch import nn


class ChannelShuffle(nn.Module):
    """Turn channel (i, j) of groups x rest into (j, i); shapes (B, C, *S) stay."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, *size = x.shape
        split = x.reshape(batch, self.groups, channels // self.groups, *size)
        return split.transpose(1, 2).reshape(x.shape)

    def extra_repr(self) -> str:
        return str(self.groups)


class ChannelSlice(nn.Module):
    """Take the channels from `start` up to `stop`."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}:{self.stop}"
