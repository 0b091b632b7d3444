"""What torch itself says of a module, and a battery of architectures that covers every choice."""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from search_spaces import Architecture, operations
from search_spaces.architecture import CONNECTIONS, DOWNSAMPLES, FUSIONS, NORMS
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.modules.attention import AttendedAddition, PositionScores
from search_spaces.modules.deformable import DeformableConvolutionBlock
from search_spaces.stage import GROWING

SHAPES = {1: [4, 21], 2: [4, 9, 14], 3: [4, 6, 7, 8]}


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
    """Run a test that takes `each_description` on a battery of architectures.

    Every operation stands in it with every number of axes, and every fusion with every connection; all other
    choices take turns.
    """
    if "each_description" in metafunc.fixturenames:
        battery = dict(_battery())
        metafunc.parametrize("each_description", list(battery.values()), ids=list(battery))


def _battery() -> Iterator[tuple[str, dict[str, Any]]]:
    turn = 0
    for axes in SHAPES:
        kinds = [kind for kind in operations.names() if axes in operations.get(kind).axes]
        pairs = list(product(FUSIONS, CONNECTIONS))
        # Images have all pairs, signals and volumes every second one.
        for index in range(0, max(len(kinds), len(pairs)), 1 if axes == 2 else 2):
            kind, (fusion, connection) = kinds[index % len(kinds)], pairs[index % len(pairs)]
            yield (
                f"{axes}d-{kind}-{fusion}-{connection}-{turn}",
                _describe(kind, fusion, connection, axes, turn),
            )
            turn += 1


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
    def record(part: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        shapes[name] = tuple(output.shape[1:])
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear | DeformableConvolutionBlock):
            macs.append(output[0].numel() * prod(part.weight.shape[1:]))
        if isinstance(part, PositionScores):
            macs.append(output[0].numel() * inputs[0].shape[1])
        if isinstance(part, AttendedAddition):
            macs.append(inputs[1][0].numel() * inputs[2].shape[-1])

    return module.register_forward_hook(record)


def _describe(kind: str, fusion: str, connection: str, axes: int, turn: int) -> dict[str, Any]:
    first = {
        "downsample": DOWNSAMPLES[turn % 4],
        "branch_activation": turn % 3 == 0,
        "attention": (None, 2, 4)[turn % 3],
        "self_attention": (None, 2)[turn // 2 % 2],
        "pool_position": ("before_norm", "after_activation")[turn // 4 % 2],
    }
    second = {
        "norm": NORMS[turn % 4],
        "activation": ACTIVATIONS[turn % 6],
        "downsample": ("none", "max")[turn // 3 % 2],
        "dropout": (0, 0.25)[turn % 2],
    }
    early = "residual" if connection == "across" else connection
    stages = [_stage(kind, axes, 4, {**first, "fusion": fusion, "connection": early})]
    before = stages[0]["channels"]
    stages.append(_stage(kind, axes, before, {**second, "fusion": fusion, "connection": connection}))
    head = {"pool": ("avg", "max", "flatten")[turn % 3], "dense": [[], [5], [6, 7]][turn // 2 % 3]}
    return {
        "input_shape": SHAPES[axes],
        "classes": 4,
        "stages": stages,
        "head": {**head, "bins": 1 + turn % 4, "dropout": 0.25 * (turn % 2)},
    }


def _stage(kind: str, axes: int, inputs: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Put two branches of an operation side by side, of different widths where the fusion allows."""
    operation = operations.get(kind)
    kernel = {"kernel": [3, 1, 1][:axes]} if "kernel" in operations.options(kind) else {}
    # The levels' own groups are made for wide stages.
    levels = {"level_groups": [1, 2, 2, 1]} if kind == "pyramid" else {}
    widths = (inputs, 8) if operation.keeps_channels else (16, 8)
    wide, narrow = ({} if operation.keeps_channels else {"channels": width} for width in widths)
    point = {"op": "conv", "channels": 8, "kernel": 1}
    is_dense = fields["connection"] in GROWING
    if is_dense and fields["downsample"] == "stride":
        fields = {**fields, "downsample": "avg"}
    second = 8 + (inputs + 8 if operation.keeps_channels else 8) if is_dense else 8
    fused = widths[0] + second if fields["fusion"] == "concat" else 12
    return {
        "branches": [[{"op": kind, **wide, **levels}], [point, {"op": kind, **narrow, **kernel, **levels}]],
        "channels": fused + (inputs if is_dense else 0),
        **fields,
    }


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Name two architectures by their canonical JSON."""
    if isinstance(left, Architecture) and isinstance(right, Architecture):
        return [f"{left.canonical_json()} {op} {right.canonical_json()}"]
    return None
