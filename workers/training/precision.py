"""Which number format trains faster on this host: measured once a process, never assumed."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from time import perf_counter

import torch
from torch import nn

from nas_service.studies import Recipe

# bf16 must win by this much to be worth its lower precision.
ADVANTAGE = 1.15


def autocast(recipe: Recipe) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    if uses_bf16(recipe):
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


def uses_bf16(recipe: Recipe) -> bool:
    """Whether training runs in bfloat16: as the recipe says, else as this host does faster."""
    if recipe.deterministic:
        return False
    return recipe.precision == "bf16" or (recipe.precision == "auto" and bf16_is_faster())


@cache
def bf16_is_faster() -> bool:
    """Time a few training steps of a small typical network in both formats."""
    plain, short = _step_seconds(nullcontext()), _step_seconds(torch.autocast("cpu", dtype=torch.bfloat16))
    return plain > ADVANTAGE * short


def _step_seconds(context: AbstractContextManager[object]) -> float:
    with torch.random.fork_rng(devices=[]):
        network = _typical_network()
    batch = torch.zeros(64, 16, 16, 16).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(5):
        started = perf_counter()
        with context:
            loss = network(batch).float().mean()
        loss.backward()
        best = min(best, perf_counter() - started)
    return best


def _typical_network() -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2, groups=4, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
