"""Pooling, batch normalisation and activation on one core: layer by layer, and in one operation.

Each case is a batch of 128 maps, channels last, there and back. Several batches take turns, so that none is
in the cache before, as in a training step, whose convolutions come between; both ways take turns too. Then
how long the operation's kernels take to compile, which happens once a machine, and to load, once a process.

    python -m benchmarks.chains
"""

import argparse
import os
import subprocess
import sys
import tempfile
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

BATCH, MAPS, ROUNDS = 128, 8, 24
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
started = perf_counter()
operation_of(torch.device("cpu"))
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
    compiled, loaded = loading()
    print(f"first kernels of a machine: {compiled:.1f} s; of a later process: {loaded:.1f} s")  # noqa: T201
    report = {
        "conditions": conditions("torch", "numba", "llvmlite"),
        "chains": found,
        "compile_s": compiled,
        "load_s": loaded,
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
    """Return how long the first kernels take in a process with an empty cache, and in the next one."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-c", LOADING]
        return [
            float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(2)
        ]


if __name__ == "__main__":
    main()
