"""Exact cost: equal to torch on a battery, receptive fields equal to gradients, memory by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from search_spaces import Architecture, Stage, analyse, lower
from search_spaces.cost import ReceptiveField, graph_peak_bytes
from search_spaces.graph import INPUT, Graph, Node
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add
from search_spaces.layers.pointwise import Activation
from search_spaces.modules import Network, build


def conv(channels: int, kernel: Any = 3, **fields: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **fields}


def network_of(*stages: dict[str, Any], shape: tuple[int, ...] = (1, 8, 8), **head: Any) -> Architecture:
    data = {"input_shape": list(shape), "classes": 2, "stages": list(stages), "head": head}
    return Architecture.from_dict(data)


def test_figures_equal_those_of_torch(
    each_description: dict[str, Any], torch_counts: Callable[..., Any]
) -> None:
    architecture = Architecture.from_dict(each_description)
    cost = analyse(architecture)
    with torch.device("meta"):
        network = Network(lower(architecture))
    counted = torch_counts(network, architecture.input_shape)
    assert (cost.params, cost.buffers, cost.macs) == (counted.params, counted.buffers, counted.macs)
    assert counted.shapes[""] == (architecture.classes,)
    for layer in cost.layers:
        assert counted.shapes[layer.name] == layer.output_shape


def test_totals_are_the_sums_over_the_layers(each_description: dict[str, Any]) -> None:
    cost = analyse(Architecture.from_dict(each_description))
    assert cost.params == sum(layer.params for layer in cost.layers)
    assert cost.macs == sum(layer.macs for layer in cost.layers)
    sizes = {"params", "macs", "model_bytes", "model_bytes_int8", "peak_activation_bytes"}
    assert set(cost.metrics()) == sizes
    assert all(type(value) is int for value in cost.metrics().values())


def test_model_bytes_are_those_of_the_floats_in_the_state(each_description: dict[str, Any]) -> None:
    architecture = Architecture.from_dict(each_description)
    state = build(architecture, seed=0).state_dict()
    floats = sum(
        value.numel() * value.element_size() for value in state.values() if value.is_floating_point()
    )
    assert analyse(architecture).model_bytes == floats


def test_a_norm_writes_over_its_input() -> None:
    """The input (1x8x8) and the first map (4x8x8) are alive together; norm and ReLU add nothing."""
    cost = analyse(network_of({"branches": [[conv(4)]], "channels": 4}))
    assert cost.peak_activation_bytes == 4 * (64 + 256)


def test_branches_are_alive_until_they_meet() -> None:
    """Beside the second branch's map stand the input, which it reads, and the first branch's map."""
    stage = {"branches": [[conv(4)], [conv(4, 5)]], "channels": 4, "fusion": "add", "norm": "none"}
    assert analyse(network_of(stage)).peak_activation_bytes == 4 * (64 + 256 + 256)


def test_concatenation_needs_both_and_the_result() -> None:
    stage = {"branches": [[conv(4)], [conv(4, 5)]], "channels": 8, "norm": "none"}
    assert analyse(network_of(stage)).peak_activation_bytes == 4 * (256 + 256 + 512)


def test_a_shortcut_keeps_its_source_alive() -> None:
    narrow = {"branches": [[conv(2)]], "channels": 2, "norm": "none"}
    deep = {"branches": [[conv(8), conv(8), conv(2)]], "channels": 2, "norm": "none"}
    plain = analyse(network_of(narrow, deep)).peak_activation_bytes
    residual = analyse(network_of(narrow, {**deep, "connection": "residual"})).peak_activation_bytes
    assert plain == 4 * 64 * (8 + 8)
    assert residual == 4 * 64 * (2 + 8 + 8)


def test_a_map_that_is_read_again_is_not_written_over() -> None:
    shape = (4, 8, 8)
    nodes = [
        Node("map", Convolution(4, (3, 3)), (INPUT,), (shape,), shape),
        Node("active", Activation(), (0,), (shape,), shape),
        Node("sum", Add(), (1, 0), (shape, shape), shape),
    ]
    assert graph_peak_bytes(Graph(shape, tuple(nodes))) == 4 * 2 * 256
    last = Node("last", Activation(), (INPUT,), (shape,), shape)
    assert graph_peak_bytes(Graph(shape, (last,))) == 4 * 2 * 256


FIELDS: list[tuple[list[dict[str, Any]], tuple[int, ...]]] = [
    ([{"branches": [[conv(3)], [conv(3, 7)]], "channels": 6}], (65, 65)),
    ([{"branches": [[conv(3, [5, 1]), conv(3, [1, 3])], [conv(3, 3)]], "channels": 6}], (33, 33)),
    ([{"branches": [[conv(3, 3, dilation=4), conv(3, 3)]], "channels": 3}], (65, 65)),
    (
        [
            {"branches": [[conv(3)], [conv(3, 5)]], "channels": 6, "downsample": "avg"},
            {"branches": [[conv(3, 5)], [conv(3, 3, dilation=2)]], "channels": 6, "downsample": "stride"},
            {"branches": [[conv(3)]], "channels": 3},
        ],
        (96, 128),
    ),
    (
        [
            {"branches": [[conv(3, 7)]], "channels": 3, "downsample": "stride", "connection": "residual"},
            {
                "branches": [[conv(3, 9)]],
                "channels": 3,
                "downsample": "avg",
                "pool_position": "after_activation",
            },
        ],
        (128,),
    ),
    ([{"branches": [[{"op": "depthwise_separable", "channels": 3, "kernel": 5}]], "channels": 3}], (33, 33)),
]


@pytest.mark.parametrize(("stages", "size"), FIELDS)
def test_the_largest_receptive_field_is_where_gradients_reach(
    stages: list[dict[str, Any]], size: tuple[int, ...]
) -> None:
    architecture = network_of(*({**stage, "norm": "none"} for stage in stages), shape=(2, *size))
    assert analyse(architecture).receptive_field.largest == gradient_extent(architecture)


@pytest.mark.parametrize(("stages", "size"), FIELDS)
def test_the_smallest_receptive_field_is_that_of_the_narrowest_path(
    stages: list[dict[str, Any]], size: tuple[int, ...]
) -> None:
    """On each axis some chain of single branches, or of shortcuts, sees exactly that much."""
    plain = [{**stage, "norm": "none", "connection": "none"} for stage in stages]
    paths = [()]
    for stage in network_of(*plain, shape=(2, *size)).stages:
        paths = [(*path, narrowed) for path in paths for narrowed in single_branches(stage)]
    extents = [
        analyse(Architecture(input_shape=(2, *size), classes=2, stages=path)).receptive_field.largest
        for path in paths
    ]
    smallest = analyse(network_of(*plain, shape=(2, *size))).receptive_field.smallest
    assert smallest == tuple(min(axis) for axis in zip(*extents, strict=True))


def test_an_identity_shortcut_sees_one_position() -> None:
    stage = {"branches": [[conv(1, 5)]], "channels": 1, "connection": "residual"}
    field = analyse(network_of(stage)).receptive_field
    assert field == ReceptiveField(smallest=(1, 1), largest=(5, 5))


def single_branches(stage: Stage) -> list[Stage]:
    return [replace(stage, branches=(branch,), channels=branch.channels) for branch in stage.branches]


def gradient_extent(architecture: Architecture) -> tuple[int, ...]:
    """Measure what one position of the last map depends on; positive weights let nothing cancel out."""
    network = build(architecture, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    maps: list[torch.Tensor] = []
    network.get_submodule("head.pool").register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    example = torch.ones(1, *architecture.input_shape, requires_grad=True)
    network(example)
    centre = tuple(side // 2 for side in maps[0].shape[2:])
    maps[0][(0, slice(None), *centre)].sum().backward()
    assert example.grad is not None
    touched = example.grad[0].abs().sum(0).nonzero()
    return tuple((touched.amax(0) - touched.amin(0) + 1).tolist())
