"""Pooling, batch normalisation and activation on one core: layer by layer, and in one operation.

Each case is a batch of 128 maps, channels last, there and back. Several batches take turns, so that none is
in the cache before, as in a training step, whose convolutions come between; both ways take turns too. Then
how long a process takes to load the compiler and its first kernel, and to compile those of one more chain.

    python -m benchmarks.chains
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.report import conditions, print_table, write
from workers.memory import keep_freed_memory
from workers.training.fused.apply import operation_of
from workers.training.fused.chain import Chain

BATCH, MAPS, ROUNDS, STARTS = 128, 8, 24, 5
# Channels, side of the map, whether it is pooled, activation (none: no normalisation either).
CHAINS = (
    (32, 28, True, "relu"),
    (24, 28, True, "relu"),
    (64, 14, True, "relu"),
    (32, 28, True, None),
    (32, 28, False, "relu"),
    (64, 14, False, "relu"),
    (128, 7, False, "relu"),
    (32, 28, True, "hard_swish"),
)
ACTIVATIONS = {"relu": nn.ReLU, "hard_swish": nn.Hardswish}
LOADING = """
from time import perf_counter
import torch
torch.set_num_threads(1)
from workers.training.fused.apply import operation_of
from workers.training.fused.chain import Chain
started = perf_counter()
operation = operation_of(torch.device("cpu"))
print(perf_counter() - started)
x = torch.randn(8, 32, 8, 8).bfloat16().requires_grad_()
started = perf_counter()
operation.run(Chain(True, torch.nn.BatchNorm2d(32), "relu"), x).sum().backward()
print(perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = [case(*figures, dtype=dtype) for dtype in (torch.bfloat16, torch.float32) for figures in CHAINS]
    rows = [
        [line["case"], f"{line['layers_ms']:.2f}", f"{line['fused_ms']:.2f}", f"{line['ratio']:.2f}"]
        for line in found
    ]
    print_table(["there and back, ms", "layer by layer", "one operation", "ratio"], rows)
    first, chain = loading()
    print(f"compiler and first kernel: {first:.2f} s; the kernels of a chain: {chain:.2f} s")  # noqa: T201
    report = {
        "conditions": conditions("torch", "llvmlite"),
        "chains": found,
        "first_kernel_s": first,
        "kernels_of_a_chain_s": chain,
    }
    print(f"written to {write('chains', report)}")  # noqa: T201


def case(
    channels: int, side: int, is_pooled: bool, function: str | None, *, dtype: torch.dtype
) -> dict[str, Any]:
    """Time a chain of layers both ways."""
    operation = operation_of(torch.device("cpu"))
    if operation is None:
        raise SystemExit("nothing compiles here")
    maps = [
        torch.randn(BATCH, channels, side, side)
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
        for _ in range(MAPS)
    ]
    norm = nn.BatchNorm2d(channels) if function else None
    layers: list[nn.Module] = [nn.MaxPool2d(2)] * is_pooled
    layers += [norm, ACTIVATIONS[function](inplace=True)] if norm and function else []
    modules, chain = nn.Sequential(*layers), Chain(is_pooled, norm, function or "none")
    gradient, one_by_one, fused = torch.ones_like(modules(maps[0])), [], []
    for number in range(ROUNDS):
        one_by_one.append(seconds(modules, maps[number % MAPS], gradient))
        other = maps[(number + MAPS // 2) % MAPS]
        fused.append(seconds(lambda x: operation.run(chain, x), other, gradient))
    name = f"{channels} {side}x{side}, {'pooled' if is_pooled else 'not pooled'}, {function}"
    # The first rounds fault memory in, and compile.
    layers_ms, fused_ms = (1e3 * median(taken[MAPS:]) for taken in (one_by_one, fused))
    return {
        "case": f"{name}, {str(dtype).removeprefix('torch.')}",
        "layers_ms": layers_ms,
        "fused_ms": fused_ms,
        "ratio": layers_ms / fused_ms,
    }


def seconds(forward: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor) -> float:
    """Return what a pass there and back takes."""
    x.grad = None
    started = perf_counter()
    forward(x).backward(gradient)  # type: ignore[no-untyped-call]
    return perf_counter() - started


def loading() -> list[float]:
    """Return medians of how long the first kernel takes in a process, and those of one more chain."""
    command = [sys.executable, "-c", LOADING]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(STARTS)]
    return [
        median(figures)
        for figures in zip(*([float(x) for x in run.stdout.split()] for run in runs), strict=True)
    ]


if __name__ == "__main__":
    main()
