"""Every value of an architecture trains on real data: the loss on the same examples falls in one epoch."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from nas_service.datasets import Dataset, read_dataset
from nas_service.studies import Recipe
from search_spaces import Architecture, RandomTrial, Stage, families, operations
from search_spaces.architecture import (
    ATTENTION_RATIOS,
    CONNECTIONS,
    DOWNSAMPLES,
    FUSIONS,
    HEAD_POOLS,
    NORMS,
    POOL_POSITIONS,
    SELF_ATTENTION_RATIOS,
)
from search_spaces.head import MAX_BINS, MAX_DENSE_LAYERS
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.modules import build
from search_spaces.operations import Operation
from search_spaces.operations.conv import SHUFFLES
from search_spaces.operations.pool import FUNCTIONS
from search_spaces.stage import GROWING, POOLS
from workers.data.arrays import TrainingData, training_data
from workers.training.batches import normalised
from workers.training.losses import validation_loss
from workers.training.trainer import train

Step = dict[str, Any]

# Without decay, which would move a weight that no gradient reaches.
RECIPE = Recipe(optimizer="adam", learning_rate=0.005, batch_size=12, weight_decay=0.0, precision="fp32")
# Input shape and classes of the data below.
INPUTS = {
    "signals": ((1, 256), 10),
    "images": ((1, 8, 8), 10),
    "spectrograms": ((1, 16, 21), 10),
    "volumes": ((1, 10, 10, 10), 2),
    "small_volumes": ((1, 7, 7, 7), 2),
}
AXES = {1: "signals", 2: "images", 3: "volumes"}
# Families have large kernels everywhere, so their volumes are small.
FAMILY_DATA = ("signals", "images", "small_volumes")
WIDTH = 16


class Row(NamedTuple):
    """An architecture and the data it is trained on."""

    name: str
    data: str
    architecture: Architecture


def step(kind: str, **fields: Any) -> Step:
    """Return an operation of sixteen channels, or as many as come in."""
    width = {} if operations.get(kind).keeps_channels else {"channels": WIDTH}
    return {"op": kind, **width, **fields}


def conv(kernel: Any = 3, **fields: Any) -> Step:
    return step("conv", kernel=kernel, **fields)


def pyramid(levels: int, groups: tuple[int, ...], channels: int, shares: Any = None) -> Step:
    kernels = [3, 5, 7, 9][:levels]
    fields = {"kernels": kernels, "level_groups": list(groups[:levels]), "channels": channels}
    return step("pyramid", **fields, shares=shares)


PLAIN, HEAVY, HEAVIEST = (1, 4, 8, 16), (32, 64, 64, 64), (32, 32, 32, 32)
HALF = (1, 1, 2)
TO_64 = conv(1, channels=64)
# One branch alone, in every number of axes that it exists for.
BRANCHES: list[list[Step]] = [
    *([conv(kernel)] for kernel in (1, 3, 5)),
    [conv(dilation=2)],
    *([conv(groups=4, shuffle=shuffle)] for shuffle in SHUFFLES),
    [step("depthwise_separable", multiplier=2, inner_activation=True, bias=True)],
    [step("stacked")],
    [step("bottleneck")],
    [step("deformable")],
    [step("igc")],
    [step("shuffle_unit")],
    [pyramid(2, PLAIN, 32)],
]
IMAGE_BRANCHES: list[list[Step]] = [
    *([conv(kernel)] for kernel in (7, 9, 11)),
    *([conv(dilation=dilation)] for dilation in (3, 4)),
    *([conv(groups=groups)] for groups in (2, 8, 16)),
    [TO_64, conv(channels=64, groups=64)],
    [conv(bias=True)],
    [conv(1, channels=4), conv(channels=4), conv(1)],
    *([step("depthwise_separable", multiplier=multiplier)] for multiplier in (1, 2, 4)),
    *([step("depthwise_separable", dilation=dilation)] for dilation in (2, 4)),
    [step("depthwise_separable", kernel=5)],
    [step("stacked", kernel=7)],
    [step("bottleneck", ratio=2)],
    [step("bottleneck", ratio=2, groups=4, dilation=2)],
    [step("deformable", kernel=5)],
    [step("deformable", groups=2)],
    [step("igc", groups=4)],
    [step("shuffle_unit", groups=4, ratio=2)],
    *([pyramid(levels, PLAIN, WIDTH * levels)] for levels in (1, 3, 4)),
    [pyramid(3, PLAIN, 64, HALF)],
    [TO_64, pyramid(2, HEAVY, 128)],
    [TO_64, pyramid(3, HEAVY, 256, HALF)],
    [TO_64, pyramid(4, HEAVY, 256)],
    [TO_64, pyramid(4, HEAVIEST, 128)],
]
PAIR = [[conv(3)], [conv(5)]]
SERIES = [[conv(3), conv(3)], [conv(5)]]
# What has torch modules of its own in each number of axes stands here, all else among the images.
STAGES: list[dict[str, Any]] = [
    *({"branches": [[conv(1)], [step("pool", function=name)]]} for name in FUNCTIONS),
    {"branches": [[conv(3)], [step("identity")]]},
    *({"fusion": fusion} for fusion in FUSIONS),
    *({"connection": connection, "branches": SERIES} for connection in CONNECTIONS),
    *({"downsample": way, "connection": "residual"} for way in DOWNSAMPLES),
    *({"norm": norm} for norm in NORMS),
    {"attention": 4, "self_attention": 2, "dropout": 0.25},
]
IMAGE_STAGES: list[dict[str, Any]] = [
    {"branches": [[conv(1)], [conv(3)], [conv(5)], [step("pool"), conv(1)]]},
    *({"fusion": fusion, "branch_activation": True} for fusion in FUSIONS),
    *({"connection": connection, "fusion": "add"} for connection in CONNECTIONS),
    *({"downsample": way, "pool_position": place} for way, place in product(DOWNSAMPLES, POOL_POSITIONS)),
    *({"norm": norm, "branch_activation": True} for norm in NORMS),
    *({"activation": name, "branch_activation": on} for name, on in product(ACTIVATIONS, (False, True))),
    *({"attention": ratio} for ratio in ATTENTION_RATIOS),
    *({"self_attention": ratio} for ratio in SELF_ATTENTION_RATIOS),
    {"dropout": 0.25},
]
HEADS: list[dict[str, Any]] = [{"pool": pool, "bins": 2} for pool in HEAD_POOLS]
IMAGE_HEADS: list[dict[str, Any]] = [
    *({"pool": pool, "bins": bins} for pool, bins in product(HEAD_POOLS, range(1, MAX_BINS + 1))),
    *({"dense": dense, "dropout": rate} for dense, rate in product(([], [64], [64, 64]), (0.0, 0.5))),
]


def asymmetric(axes: int) -> Iterator[dict[str, Any]]:
    """Yield kx1 and 1xk in series and side by side; in volumes kx1x1 and 1xkxk."""
    for size in (3, 5, 7) if axes > 1 else ():
        column, row = conv([size, *[1] * (axes - 1)]), conv([1, *[size] * (axes - 1)])
        yield {"branches": [[column, row]]}
        yield {"branches": [[column], [row]]}
        yield {"branches": [[column], [row]], "fusion": "add"}


def exists(branch: list[Step], axes: int) -> bool:
    return all(axes in operations.get(one["op"]).axes for one in branch)


def row_of(data: str, stage: dict[str, Any], head: dict[str, Any] | None = None) -> Row:
    """Return a convolution that brings the data to sixteen channels, then the stage in question."""
    shape, classes = INPUTS[data]
    stem = {"branches": [[conv(3)]], "channels": WIDTH, "downsample": "none" if data == "images" else "max"}
    tested = {"branches": PAIR, **stage}
    tested["channels"] = channels_of(**tested)
    described = {"input_shape": list(shape), "classes": classes, "stages": [stem, tested], "head": head or {}}
    words = {**stage, **(head or {})}
    return Row(f"{data}-{name_of(words)}", data, Architecture.from_dict(described))


def channels_of(
    branches: list[list[Step]], fusion: str = "concat", connection: str = "none", **_: Any
) -> int:
    is_dense = connection in GROWING
    widths = [
        sum(one.get("channels", WIDTH) for one in branch[0 if is_dense else -1 :]) for branch in branches
    ]
    fused = sum(widths) if fusion == "concat" or len(widths) == 1 else WIDTH
    return fused + WIDTH if is_dense else fused


def name_of(words: dict[str, Any]) -> str:
    """Return a row's test id: its branches, then what else it says."""
    branches = "|".join("+".join(map(step_name, branch)) for branch in words.get("branches", ()))
    rest = [f"{name}={value}" for name, value in words.items() if name != "branches"]
    return "-".join([*([branches] if branches else []), *rest])


def step_name(one: Step) -> str:
    shown = [f"{name}={value}" for name, value in one.items() if name not in ("op", "channels") and value]
    return f"{one['op']}({','.join(shown)})"


def rows() -> Iterator[Row]:
    for axes, data in AXES.items():
        for branch in (*BRANCHES, *(IMAGE_BRANCHES if axes == 2 else ())):
            if exists(branch, axes):
                yield row_of(data, {"branches": [branch]})
        for stage in (*STAGES, *asymmetric(axes), *(IMAGE_STAGES if axes == 2 else ())):
            yield row_of(data, stage)
        for head in (*HEADS, *(IMAGE_HEADS if axes == 2 else ())):
            yield row_of(data, {}, head)
    yield row_of("spectrograms", {"branches": [[conv([3, 9])], [conv([9, 3])]], "downsample": "max"})


def family_rows() -> Iterator[Row]:
    for data, name in product(FAMILY_DATA, families.names()):
        shape, classes = INPUTS[data]
        narrow = families.get(name).space.with_override({"stage1": {"width": 8}})
        yield Row(f"{data}-{name}", data, narrow.sample(RandomTrial(0), shape, classes))


# Some tables name the same architecture.
ROWS = [*{row.architecture: row for row in rows()}.values(), *family_rows()]


@torch.no_grad()
def loss_of(network: nn.Module, data: TrainingData) -> float:
    """Return the loss on the whole training part, without dropout.

    Batch norms take the statistics of these examples: their running ones have seen few batches.
    """
    network = deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    logits = network(normalised(data.train.examples, data))
    return float(validation_loss(logits, data.train.labels, RECIPE))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_architecture_trains(row: Row, request: pytest.FixtureRequest) -> None:
    data: TrainingData = request.getfixturevalue(row.data)
    network = build(row.architecture, seed=0)
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    before = loss_of(network, data)
    train(network, data, RECIPE, epochs=1, seed=0, on_epoch=lambda report: "continue")
    after = loss_of(network, data)
    unmoved = [name for name, value in network.named_parameters() if torch.equal(value, start[name])]
    assert after < before
    assert not unmoved


def stages_of(data: str) -> list[Stage]:
    return [stage for row in ROWS if row.data == data for stage in row.architecture.stages]


def operations_of(data: str) -> list[Operation]:
    branches = [branch for stage in stages_of(data) for branch in stage.branches]
    return [operation for branch in branches for operation in branch.operations]


@pytest.mark.parametrize(("axes", "data"), AXES.items())
def test_every_operation_and_kind_of_stage_has_a_row(axes: int, data: str) -> None:
    existing = {name for name in operations.names() if axes in operations.get(name).axes}
    assert {operation.kind for operation in operations_of(data)} == existing
    stages = stages_of(data)
    assert {stage.fusion for stage in stages} == set(FUSIONS)
    assert {stage.connection for stage in stages} == set(CONNECTIONS)
    assert {stage.downsample for stage in stages} == set(DOWNSAMPLES)
    assert {stage.norm for stage in stages} == set(NORMS)
    heads = [row.architecture.head for row in ROWS if row.data == data]
    assert {head.pool for head in heads} == set(HEAD_POOLS)


def test_every_family_has_a_row_in_each_number_of_axes() -> None:
    found = {(len(row.architecture.input_shape) - 1, row.name) for row in family_rows()}
    expected = product(enumerate(FAMILY_DATA, start=1), families.names())
    assert found == {(axes, f"{data}-{name}") for (axes, data), name in expected}


def test_every_choice_of_a_stage_has_an_image_row() -> None:
    stages = stages_of("images")
    for on in (False, True):
        chosen = [stage for stage in stages if stage.branch_activation is on]
        assert {stage.norm for stage in chosen} == set(NORMS)
        assert {stage.activation for stage in chosen} == set(ACTIVATIONS)
        assert {stage.fusion for stage in chosen} == set(FUSIONS)
    assert {stage.attention for stage in stages} == {None, *ATTENTION_RATIOS}
    assert {stage.self_attention for stage in stages} == {None, *SELF_ATTENTION_RATIOS}
    pooled = {stage.pool_position for stage in stages if stage.downsample in POOLS}
    assert pooled == set(POOL_POSITIONS)


def test_every_choice_of_a_head_has_an_image_row() -> None:
    heads = [row.architecture.head for row in ROWS if row.data == "images"]
    pooled = {(head.pool, head.bins) for head in heads if head.pool != "flatten"}
    assert pooled == set(product(("avg", "max"), range(1, MAX_BINS + 1)))
    assert {len(head.dense) for head in heads if head.dropout} == set(range(MAX_DENSE_LAYERS + 1))


def test_every_value_of_an_operation_has_an_image_row() -> None:
    found = operations_of("images")

    def values(kind: str, name: str) -> set[Any]:
        return {getattr(operation, name) for operation in found if operation.kind == kind}

    squares = {(kernel, kernel) for kernel in (1, 3, 5, 7, 9, 11)}
    assert values("conv", "kernel") >= squares | {(3, 1), (1, 3), (5, 1), (1, 5), (7, 1), (1, 7)}
    assert values("conv", "groups") >= {1, 2, 4, 8, 16, 64}
    assert values("conv", "dilation") >= {1, 2, 3, 4}
    assert values("conv", "shuffle") == set(SHUFFLES)
    assert values("depthwise_separable", "multiplier") >= {1, 2, 4}
    assert values("depthwise_separable", "dilation") >= {1, 2, 4}
    assert values("stacked", "kernel") >= {(5, 5), (7, 7)}
    assert values("deformable", "kernel") >= {(3, 3), (5, 5)}
    assert values("pool", "function") == set(FUNCTIONS)
    assert values("pyramid", "shares") >= {(1,), (1, 1), (1, 1, 1), (1, 1, 1, 1), HALF}
    assert values("pyramid", "level_groups") >= {PLAIN, HEAVY, HEAVIEST, PLAIN[:3], HEAVY[:3]}


@pytest.fixture
def images(digits_dataset: Dataset) -> TrainingData:
    """A fifth of the digits."""
    return part_of(digits_dataset, every=5)


@pytest.fixture
def signals(shared_data: Callable[[str], Path]) -> TrainingData:
    """A ninth of the spoken digits as signals, at a thirty-second of their rate."""
    return decimated(shared_data("fsdd-waveform.npz"), 9, 32)


@pytest.fixture
def spectrograms(shared_data: Callable[[str], Path]) -> TrainingData:
    """A ninth of the spoken digits as spectrograms, at every second band and every third frame."""
    return decimated(shared_data("fsdd-logmel.npz"), 9, 2, 3)


@pytest.fixture
def volumes(shared_data: Callable[[str], Path]) -> TrainingData:
    """A quarter of the adrenal glands, at every third voxel."""
    return decimated(shared_data("adrenalmnist3d.npz"), 4, 3, 3, 3)


@pytest.fixture
def small_volumes(shared_data: Callable[[str], Path]) -> TrainingData:
    """A quarter of the adrenal glands, at every fourth voxel."""
    return decimated(shared_data("adrenalmnist3d.npz"), 4, 4, 4, 4)


@cache
def decimated(path: Path, every: int, *steps: int) -> TrainingData:
    dataset = read_dataset(path)
    kept = (..., *(slice(None, None, step) for step in steps))
    return part_of(replace(dataset, x_train=dataset.x_train[kept]), every)


def part_of(dataset: Dataset, every: int) -> TrainingData:
    chosen = replace(dataset, x_train=dataset.x_train[::every], y_train=dataset.y_train[::every])
    return training_data(chosen, 1 / 6, 0)
