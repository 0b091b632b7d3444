"""Modules that bring several maps together."""

import torch
from torch import nn


class Concatenation(nn.Module):
    """Concatenate maps (B, C_i, *S) along the channels."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        return torch.cat(maps, dim=1)


class Addition(nn.Module):
    """Add maps of equal shape (B, C, *S)."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        total = maps[0]
        for other in maps[1:]:
            total = total + other
        return total


class WeightedAddition(nn.Module):
    """Add maps of equal shape by learnt softmax weights, equal at first."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(branches))

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        shares = self.weight.softmax(0).to(maps[0].dtype).unbind()
        total = maps[0] * shares[0]
        for other, share in zip(maps[1:], shares[1:], strict=True):
            total = total + other * share
        return total
