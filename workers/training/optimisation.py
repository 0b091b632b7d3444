"""Optimisers and learning-rate schedules of a recipe."""

import math

import torch
from torch import nn

from nas_service.studies import Recipe

# The share of all steps in which one-cycle rises, and where it starts and ends, relative to its peak
# (Smith and Topin 2017, arXiv:1708.07120).
RISE = 0.25
START = 0.1
END = 0.001


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; weights decay, biases and normalisation do not."""
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        has_momentum = recipe.momentum > 0
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=has_momentum, fused=True
        )
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the rate after a share `progress` (0 to 1) of all steps."""
    peak = recipe.learning_rate
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
    if progress < RISE:
        return peak * (START + (1 - START) * progress / RISE)
    fall = (progress - RISE) / (1 - RISE)
    return peak * (END + (1 - END) * 0.5 * (1 + math.cos(math.pi * fall)))
