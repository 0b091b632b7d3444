"""Optimisers and learning-rate schedules of a recipe."""

import inspect
import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nas_service.studies import Recipe

# The share of all steps in which one-cycle rises, and where it starts and ends, relative to its peak
# (Smith and Topin 2017, arXiv:1708.07120).
RISE = 0.25
START = 0.1
END = 0.001
# After these shares of all steps the step schedule divides the rate by ten (He et al. 2016,
# arXiv:1512.03385, section 4.2: 32,000 and 48,000 of 64,000).
STEPS = (0.5, 0.75)
STEP_FACTOR = 0.1
Kind = TypeVar("Kind", bound=torch.optim.Optimizer)
# What torch wraps for its compiler, apart from the step.
WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of what is not frozen; weights decay, biases and normalisation do not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in trained if parameter.dim() > 1]
    others = [parameter for parameter in trained if parameter.dim() <= 1]
    is_apart = recipe.decoupled_weight_decay and recipe.optimizer != "adamw"
    groups = [
        {"params": weights, "weight_decay": 0.0 if is_apart else recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    device = next(network.parameters()).device
    optimizer = _optimizer([group for group in groups if group["params"]], recipe, device)
    # The first steps of a training are taken as they are, on purpose: torch need not warn of it.
    optimizer._warned_capturable_if_run_uncaptured = True
    if is_apart and recipe.weight_decay:
        _decay_before_steps(optimizer, tuple(weights), recipe.weight_decay)
    return optimizer


def _optimizer(groups: list[dict[str, Any]], recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    momentum, on_gpu = recipe.momentum, device.type == "cuda"
    # A captured step reads the rate from the device's memory; all groups share the one number.
    rate = torch.tensor(recipe.learning_rate, device=device) if on_gpu else recipe.learning_rate
    match recipe.optimizer:
        case "sgd":
            return _uncompiled(torch.optim.SGD)(
                groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=True
            )
        case "adam":
            return _uncompiled(torch.optim.Adam)(groups, lr=rate, fused=True, capturable=on_gpu)
        case "adamw":
            return _uncompiled(torch.optim.AdamW)(groups, lr=rate, fused=True, capturable=on_gpu)
        case "rmsprop":
            return _uncompiled(torch.optim.RMSprop)(
                groups, lr=rate, momentum=momentum, foreach=True, capturable=on_gpu
            )
        case "adagrad":
            # Its fused kernel is for processors alone.
            return _uncompiled(torch.optim.Adagrad)(groups, lr=rate, fused=not on_gpu, foreach=on_gpu)


def _uncompiled(kind: type[Kind]) -> type[Kind]:
    """Return an optimiser's class without what torch.compile needs around its methods.

    Each of them would import that compiler: a second of a worker's start, for what training does not use.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


def _decay_before_steps(optimizer: torch.optim.Optimizer, weights: tuple[Tensor, ...], decay: float) -> None:
    """Multiply the weights by 1 - rate x decay before each step (Loshchilov and Hutter, arXiv:1711.05101)."""

    @torch.no_grad()
    def shrink(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        torch._foreach_mul_(weights, 1 - optimizer.param_groups[0]["lr"] * decay)

    optimizer.register_step_pre_hook(shrink)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float | Tensor) -> None:
    """Set the rate of all parameters: where it lies on a device, by a tensor without waiting for it."""
    shared = optimizer.param_groups[0]["lr"]
    if isinstance(shared, Tensor):
        shared.copy_(rate) if isinstance(rate, Tensor) else shared.fill_(rate)
        return
    for group in optimizer.param_groups:
        group["lr"] = float(rate)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the rate after a share `progress` (0 to 1) of all steps."""
    peak = recipe.learning_rate
    match recipe.schedule:
        case "constant":
            return peak
        case "step":
            return peak * STEP_FACTOR ** sum(progress >= step for step in STEPS)
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * progress))
        case "one_cycle":
            return peak * _one_cycle(progress)


def _one_cycle(progress: float) -> float:
    if progress < RISE:
        return START + (1 - START) * progress / RISE
    fall = (progress - RISE) / (1 - RISE)
    return END + (1 - END) * 0.5 * (1 + math.cos(math.pi * fall))
