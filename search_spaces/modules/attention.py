"""Attention over channels and over positions."""

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


class PositionScores(nn.Module):
    """Return the softmax of query times key: two maps (B, C, *S) of N positions to (B, N, N)."""

    def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = query.flatten(2).transpose(1, 2) @ key.flatten(2)
        return scores.softmax(-1)


class AttendedAddition(nn.Module):
    """Add to each position what it gathers by its scores, times a factor that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, value: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        gathered = value.flatten(2) @ scores.transpose(1, 2)
        return x + self.scale.to(x.dtype) * gathered.reshape(x.shape)
