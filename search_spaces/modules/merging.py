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
    """Add maps of equal shape by learnt weights, equal at first.

    Args:
        branches: How many maps.
        weighting: "softmax" (they sum to one), "sigmoid" (each between 0 and 1), "free" (as they are).
    """

    def __init__(self, branches: int, weighting: str = "softmax") -> None:
        super().__init__()
        self.weighting = weighting
        start = torch.ones if weighting == "free" else torch.zeros
        self.weight = nn.Parameter(start(branches))

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        shares = self.shares().to(maps[0].dtype).unbind()
        total = maps[0] * shares[0]
        for other, share in zip(maps[1:], shares[1:], strict=True):
            total = total + other * share
        return total

    def shares(self) -> torch.Tensor:
        """Return the factor of each map."""
        if self.weighting == "softmax":
            return self.weight.softmax(0)
        return self.weight.sigmoid() if self.weighting == "sigmoid" else self.weight

    def extra_repr(self) -> str:
        return self.weighting


class SelectiveAddition(nn.Module):
    """Add maps (B, C, *S) by a softmax over maps of the last input, logits (B, maps x C)."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        maps, logits = inputs[:-1], inputs[-1]
        batch, channels = maps[0].shape[:2]
        shape = (batch, len(maps), channels, *(1,) * (maps[0].dim() - 2))
        shares = logits.reshape(shape).softmax(1).unbind(1)
        total = maps[0] * shares[0]
        for other, share in zip(maps[1:], shares[1:], strict=True):
            total = total + other * share
        return total
