"""The amounts of work that a latency is predicted from."""

import numpy as np
import pytest

from search_spaces import RandomTrial, lower, resolve_space
from search_spaces.graph import INPUT, GraphBuilder
from search_spaces.layers.attention import SqueezeExcitation
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Layer
from search_spaces.layers.merging import Add, Concat
from search_spaces.layers.pointwise import Activation
from search_spaces.layers.reduction import Linear, Pool
from workers.prediction.features import NAMES, OTHERS, features, operator_class

SHAPE = (8, 6, 6)


def amounts(layer: Layer, shape: tuple[int, ...] = SHAPE, *, copies: int = 1) -> dict[str, float]:
    """Return the amounts that are not zero of layers that all read the same input."""
    builder = GraphBuilder(shape)
    for number in range(copies):
        builder.add(f"layer{number}", layer, INPUT)
    return {name: value for name, value in zip(NAMES, features(builder.graph()), strict=True) if value}


def test_dense_convolution_fills_blocks_of_channels() -> None:
    # Windows in the corner, at a side and inside of the 3x3 outputs see 2 or 3 rows and columns.
    inside = (2 + 3 + 3) ** 2
    assert amounts(Convolution(20, (3, 3), stride=2, bias=True), (17, 6, 6)) == {
        "dense.calls": 1,
        "dense.macs": 9 * 9 * 17 * 20,
        "dense.padded_macs": 9 * 9 * 32 * 32,
        "dense.inside_macs": inside * 32 * 32,
        "dense.columns": 9 * 9 * 32,
        "dense.rows": 3 * 2,
        "dense.border_macs": 3 * 2 * 9 * 32 * 32,
        "dense.moved": 17 * 36 + 20 * 9,
        "dense.weights": 9 * 17 * 20,
        "dense.products": 1,
        "layout_change.calls": 1,
        "layout_change.moved": 2 * 17 * 36,
    }


def test_convolution_of_thin_groups_copies_rows_and_fills_positions() -> None:
    found = amounts(Convolution(16, (5, 5), groups=2))
    assert found["grouped.macs"] == 36 * 25 * 4 * 16
    assert found["grouped.columns"] == 48 * 25 * 8
    assert found["grouped.rows"] == 6 * 25 * 8
    assert found["grouped.products"] == 2


def test_convolution_of_few_channels_reads_them_singly() -> None:
    found = amounts(Convolution(24, (3, 3)))
    assert found["narrow.padded_macs"] == 36 * 9 * 8 * 32
    assert found["narrow.columns"] == 36 * 9 * 8


def test_wide_groups_count_as_dense() -> None:
    found = amounts(Convolution(64, (3, 3), groups=2), (32, 6, 6))
    assert found["dense.padded_macs"] == found["dense.macs"] == 36 * 9 * 16 * 64


def test_depthwise_convolution_pads_all_its_channels_together() -> None:
    found = amounts(Convolution(8, (3, 3), groups=8))
    assert found["depthwise.macs"] == 36 * 9 * 8
    assert found["depthwise.padded_macs"] == 36 * 9 * 16


def test_convolution_of_a_signal_counts_along_its_one_axis() -> None:
    found = amounts(Convolution(4, (9,)), (1, 100))
    assert found["narrow.macs"] == 100 * 9 * 4
    assert found["narrow.padded_macs"] == 100 * 9 * 16


def test_amounts_add_up_over_layers() -> None:
    one, three = amounts(Activation("silu")), amounts(Activation("silu"), copies=3)
    name = "smooth_activation"
    assert one == {f"{name}.calls": 1, f"{name}.work": 288, f"{name}.moved": 576}
    assert three == {amount: 3 * value for amount, value in one.items()}


def test_pool_is_plain_where_channels_do_not_fill_blocks() -> None:
    whole, ragged = (amounts(Pool("max", 2, 2), (channels, 6, 6)) for channels in (16, 8))
    assert ragged == {"plain_max_pool.calls": 1, "plain_max_pool.work": 288, "plain_max_pool.moved": 360}
    assert whole["max_pool.work"] == 576


def test_map_that_changes_its_layout_is_copied_once() -> None:
    builder = GraphBuilder((16, 6, 6))
    dense = builder.add("dense", Convolution(20, (3, 3)), INPUT)
    builder.add("one", Pool("max", 2, 2), dense)
    builder.add("other", Pool("avg", 2, 2), dense)
    found = dict(zip(NAMES, features(builder.graph()), strict=True))
    # The input into blocks, and the 20 channels back into plain order, which both pools read.
    assert found["layout_change.calls"] == 2
    assert found["layout_change.moved"] == 2 * (16 * 36 + 20 * 36)


def test_concat_counts_all_that_it_reads_and_writes() -> None:
    builder = GraphBuilder(SHAPE)
    builder.add("both", Concat(), INPUT, INPUT)
    found = dict(zip(NAMES, features(builder.graph()), strict=True))
    assert (found["concat.work"], found["concat.moved"]) == (0, 4 * 288)


@pytest.mark.parametrize(
    ("layer", "shape", "name"),
    [
        (Convolution(8, (1, 1)), (16, 6, 6), "pointwise"),
        (Convolution(8, (1, 1), groups=4), SHAPE, "grouped"),
        (Convolution(8, (3, 3)), (3, 6, 6), "narrow"),
        (Activation("relu"), SHAPE, "relu"),
        (Activation("gelu"), SHAPE, "smooth_activation"),
        (Pool("avg", 3, 1), SHAPE, "plain_avg_pool"),
        (SqueezeExcitation(4), SHAPE, "gate"),
        (Add(), SHAPE, "add"),
        (Linear(10), (64,), "linear"),
    ],
)
def test_operator_class(layer: Layer, shape: tuple[int, ...], name: str) -> None:
    assert operator_class(layer, (shape,)) == name


@pytest.mark.parametrize("family", ["multi_scale", "deformable", "dual_path", "pyramidal_hg"])
def test_every_layer_of_a_family_has_a_class_of_its_own(family: str) -> None:
    space, other = resolve_space(family), NAMES.index(f"{OTHERS[-1]}.calls")
    for seed in range(20):
        graph = lower(space.sample(RandomTrial(seed), (1, 28, 28), 10))
        found = features(graph)
        calls = {name: value for name, value in zip(NAMES, found, strict=True) if name.endswith(".calls")}
        del calls["layout_change.calls"]
        assert sum(calls.values()) == len(graph.nodes)
        assert found[other] == 0
        assert np.isfinite(found).all()
