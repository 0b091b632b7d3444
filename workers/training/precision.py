"""Which number format trains faster on this host: measured once a process, never assumed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from time import perf_counter

import torch
from torch import nn

from nas_service.studies import Recipe

# bf16 must win by this much to be worth its lower precision.
ADVANTAGE = 1.15
ROUNDS = 12
# Memory order by the number of spatial axes; signals have only one.
MEMORY_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def autocast(recipe: Recipe, axes: int = 2, device: str = "cpu") -> AbstractContextManager[object]:
    """Return the context in which forward passes on examples of so many spatial axes run."""
    if uses_bf16(recipe, axes, device):
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def uses_bf16(recipe: Recipe, axes: int = 2, device: str = "cpu") -> bool:
    """Whether training runs in bfloat16: as the recipe says, else as the device does faster.

    On a processor networks of three spatial axes never do: torch 2.13's gradient of a 7x7x7 weight over a map
    of 4x4x4 writes outside of its memory in that format, which ends the process now or later.
    """
    if recipe.deterministic or (device == "cpu" and axes == 3):
        return False
    if recipe.precision == "auto":
        # What a GPU only emulates is slower than fp32.
        return (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device == "cuda"
            else bf16_is_faster(axes)
        )
    return recipe.precision == "bf16"


@cache
def bf16_is_faster(axes: int = 2) -> bool:
    """Time training steps of a small typical network of so many spatial axes in both formats, by turns.

    The fastest step of each counts, so that a machine which is busy for a moment does not decide.
    """
    plain, short = (_timed_steps(axes, dtype) for dtype in (torch.float32, torch.bfloat16))
    pairs = [(next(plain), next(short)) for _ in range(ROUNDS)]
    best_plain, best_short = (min(seconds) for seconds in zip(*pairs, strict=True))
    return bool(best_plain > ADVANTAGE * best_short)


def _timed_steps(axes: int, dtype: torch.dtype) -> Iterator[float]:
    """Yield the seconds of one training step after the other."""
    with torch.random.fork_rng(devices=[]):
        network = _typical_network(axes)
    # As many positions whatever the number of axes: 256 in one, 16 x 16, about 6 x 6 x 6.
    batch = torch.zeros(64, 16, *(round(256 ** (1 / axes)),) * axes)
    if axes in MEMORY_FORMATS:
        network.to(memory_format=MEMORY_FORMATS[axes])  # type: ignore[call-overload]
        batch = batch.to(memory_format=MEMORY_FORMATS[axes])
    while True:
        started = perf_counter()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            loss = network(batch).float().mean()
        loss.backward()
        yield perf_counter() - started


def _typical_network(axes: int) -> nn.Module:
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1]
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    return nn.Sequential(
        conv(16, 32, 3, padding=1, bias=False),
        pool(2),
        norm(32),
        nn.ReLU(),
        # Not in groups: those are trained in the formats that were measured for each of them.
        conv(32, 32, 3, padding=1, bias=False),
        norm(32),
        nn.ReLU(),
    )
