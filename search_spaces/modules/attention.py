"""Attention over channels."""

import torch
from torch import nn


class SqueezeExcitationBlock(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean(tuple(range(2, x.dim())))
        gate = self.excite(self.squeeze(means).relu()).sigmoid()
        scaled: torch.Tensor = x * gate.reshape(*gate.shape, *(1,) * (x.dim() - 2))
        return scaled
