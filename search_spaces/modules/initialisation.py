"""Initial weights."""

import torch
from torch import nn


@torch.no_grad()
def initialise(network: nn.Module, seed: int | None) -> None:
    """Draw He-normal weights for convolutions and dense layers (He et al. 2015, arXiv:1502.01852), zero biases.

    The last dense layer starts small, so that the first logits are near zero.
    """
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) or isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        else:
            continue
        if module.bias is not None:
            module.bias.zero_()
