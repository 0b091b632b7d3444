"""Group normalisation that also takes a single value."""

import torch
from torch import nn


class GroupNormalisation(nn.GroupNorm):
    """`nn.GroupNorm`, which refuses one value a group in training; that value becomes zero here."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
