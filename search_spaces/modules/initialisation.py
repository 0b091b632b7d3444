"""Initial weights."""

import torch
from torch import nn


@torch.no_grad()
def initialise(network: nn.Module, seed: int | None) -> None:
    """Draw He-normal weights for convolutions and dense layers, and zero biases.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        else:
            continue
        if module.bias is not None:
            module.bias.zero_()
