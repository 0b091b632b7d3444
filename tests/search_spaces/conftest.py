"""What torch itself says of a module, and a battery of architectures that covers every choice."""

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from search_spaces import Architecture, operations
from search_spaces.architecture import CONNECTIONS, DOWNSAMPLES, FUSIONS

SHAPES = {1: [3, 21], 2: [3, 9, 14]}


class TorchCounts(NamedTuple):
    params: int
    buffers: int
    macs: int
    # Output shape of one example by the module's name; the network itself has the empty name.
    shapes: dict[str, tuple[int, ...]]


@pytest.fixture
def torch_counts() -> Callable[[nn.Module, tuple[int, ...]], TorchCounts]:
    """Return a function that runs a module on one example, on the module's device, and counts."""
    return _torch_counts


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `each_description` on every operation x fusion x connection x number of axes.

    Down-sampling, attention, activation inside branches and heads take turns.
    """
    if "each_description" not in metafunc.fixturenames:
        return
    choices = product(operations.names(), FUSIONS, CONNECTIONS, SHAPES)
    described = {"-".join(map(str, choice)): choice for choice in choices}
    metafunc.parametrize(
        "each_description",
        [_describe(*choice, turn=turn) for turn, choice in enumerate(described.values())],
        ids=list(described),
    )


def _torch_counts(module: nn.Module, input_shape: tuple[int, ...]) -> TorchCounts:
    shapes: dict[str, tuple[int, ...]] = {}
    macs: list[int] = []
    handles = [_watch(name, part, shapes, macs) for name, part in module.named_modules()]
    device = next(module.parameters()).device
    with torch.no_grad():
        module.eval()(torch.zeros(1, *input_shape, device=device))
    for handle in handles:
        handle.remove()
    params = sum(parameter.numel() for parameter in module.parameters())
    return TorchCounts(params, sum(buffer.numel() for buffer in module.buffers()), sum(macs), shapes)


def _watch(name: str, module: nn.Module, shapes: dict[str, tuple[int, ...]], macs: list[int]) -> Any:
    def record(part: nn.Module, _: Any, output: torch.Tensor) -> None:
        shapes[name] = tuple(output.shape[1:])
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            macs.append(output[0].numel() * prod(part.weight.shape[1:]))

    return module.register_forward_hook(record)


def _describe(kind: str, fusion: str, connection: str, axes: int, *, turn: int) -> dict[str, Any]:
    total = 14 if fusion == "concat" else 8
    side = [3, 1][:axes]
    stage = {
        "branches": [
            [{"op": kind, "channels": 8}],
            [{"op": "conv", "channels": 4, "kernel": 1}, {"op": kind, "channels": 6, "kernel": side}],
        ],
        "channels": total,
        "fusion": fusion,
        "connection": connection,
    }
    first = {
        **stage,
        "downsample": DOWNSAMPLES[turn % 4],
        "branch_activation": turn % 3 == 0,
        "attention": (None, 2, 4)[turn % 3],
        "pool_position": ("before_norm", "after_activation")[turn // 4 % 2],
    }
    second = {**stage, "norm": ("batch", "none")[turn % 2], "activation": ("silu", "relu", "gelu")[turn % 3]}
    head = {"pool": ("avg", "max", "flatten")[turn % 3], "dense": [[], [5], [6, 7]][turn // 2 % 3]}
    return {
        "input_shape": SHAPES[axes],
        "classes": 4,
        "stages": [first, second],
        "head": {**head, "dropout": 0.25 * (turn % 2)},
    }


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Name two architectures by their canonical JSON."""
    if isinstance(left, Architecture) and isinstance(right, Architecture):
        return [f"{left.canonical_json()} {op} {right.canonical_json()}"]
    return None
