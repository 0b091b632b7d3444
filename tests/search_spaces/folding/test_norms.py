"""Batch norms and the weights of sums fold into what comes before them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search_spaces.folding.norms import fold_factors, fold_norms
from search_spaces.folding.trained_graph import TrainedGraph
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import WEIGHTINGS, Add, Concat, WeightedSum
from search_spaces.layers.normalisation import BatchNorm, GroupNorm
from search_spaces.layers.pointwise import Activation
from search_spaces.layers.rearranging import Shuffle, Slice
from search_spaces.layers.reduction import Pool

CONVOLUTIONS = [
    ((4, 9), Convolution(6, (3,))),
    ((4, 9, 8), Convolution(6, (3, 5), stride=2, bias=True)),
    ((4, 9, 8), Convolution(8, (3, 3), groups=4)),
    ((4, 9, 8), Convolution(4, (3, 3), groups=2, dilation=2)),
    ((4, 5, 6, 7), Convolution(6, (3, 1, 3), groups=2, dilation=(2, 1, 1))),
]
POINT = Convolution(6, (1, 1))


def kinds(trained: TrainedGraph) -> list[str]:
    return [part.layer.kind for part in trained.parts.values()]


def with_scales(trained: TrainedGraph, name: str, sign: float) -> TrainedGraph:
    part = trained.parts[name]
    scales = sign * (0.5 + np.abs(part.state["weight"]))
    return trained.with_part(name, replace(part, state={**part.state, "weight": scales}))


@pytest.mark.parametrize(("shape", "layer"), CONVOLUTIONS)
def test_a_norm_folds_into_any_convolution(
    make_trained: Any, assert_same: Any, shape: tuple[int, ...], layer: Convolution
) -> None:
    before = make_trained(shape, ("conv", layer, ["input"]), ("norm", BatchNorm(), ["conv"]))
    after = fold_norms(before)
    assert kinds(after) == ["convolution"]
    assert_same(before, after)


@pytest.mark.parametrize("merging", [Concat(), Add()])
def test_a_norm_folds_through_what_merges_convolutions(
    make_trained: Any, assert_same: Any, merging: Any
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("a", Convolution(6, (3, 3)), ["input"]),
        ("b", Convolution(6, (5, 5), bias=True), ["input"]),
        ("merged", merging, ["a", "b"]),
        ("norm", BatchNorm(), ["merged"]),
    )
    after = fold_norms(before)
    assert kinds(after) == ["convolution", "convolution", merging.kind]
    assert_same(before, after)


def test_the_shift_goes_into_one_summand_only(make_trained: Any) -> None:
    before = make_trained(
        (4, 9, 8),
        ("a", POINT, ["input"]),
        ("b", POINT, ["input"]),
        ("sum", Add(), ["a", "b"]),
        ("norm", BatchNorm(), ["sum"]),
    )
    after = fold_norms(before)
    assert [after.parts[name].layer.bias for name in ("a", "b")] == [True, False]


@pytest.mark.parametrize(
    "between",
    [
        Shuffle(3),
        Slice(1, 4),
        Pool("avg", 3, 1),
        Pool("avg", 2, 2),
        Pool("max", 1, 2),
    ],
)
def test_a_norm_folds_through_what_keeps_an_affine_map(
    make_trained: Any, assert_same: Any, between: Any
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("conv", POINT, ["input"]),
        ("between", between, ["conv"]),
        ("norm", BatchNorm(), ["between"]),
    )
    after = fold_norms(before)
    assert kinds(after) == ["convolution", between.kind]
    assert_same(before, after)


@pytest.mark.parametrize(("sign", "left"), [(1.0, 2), (-1.0, 3)])
def test_a_norm_folds_through_maximum_pooling_where_no_scale_is_negative(
    make_trained: Any, assert_same: Any, sign: float, left: int
) -> None:
    made = make_trained(
        (4, 9, 8),
        ("conv", POINT, ["input"]),
        ("pool", Pool("max", 2, 2), ["conv"]),
        ("norm", BatchNorm(), ["pool"]),
    )
    before = with_scales(made, "norm", sign)
    after = fold_norms(before)
    assert len(after.parts) == left
    assert_same(before, after)


def test_a_norm_folds_into_the_norm_before_it(make_trained: Any, assert_same: Any) -> None:
    before = make_trained((4, 9, 8), ("first", GroupNorm(2), ["input"]), ("norm", BatchNorm(), ["first"]))
    after = fold_norms(before)
    assert kinds(after) == ["group_norm"]
    assert_same(before, after)


@pytest.mark.parametrize(
    "lines",
    [
        [("norm", BatchNorm(), ["input"])],
        [("sum", Add(), ["conv", "input"]), ("norm", BatchNorm(), ["sum"])],
        [("relu", Activation(), ["conv"]), ("norm", BatchNorm(), ["relu"])],
        [("norm", BatchNorm(), ["conv"]), ("sum", Add(), ["norm", "conv"])],
        [("sum", Add(), ["conv", "conv"]), ("norm", BatchNorm(), ["sum"])],
    ],
    ids=["input", "residual", "activation", "second reader", "read twice"],
)
def test_a_norm_stays_where_something_else_comes_before_it(make_trained: Any, lines: Any) -> None:
    before = make_trained((6, 9, 8), ("conv", POINT, ["input"]), *lines)
    assert fold_norms(before) is before


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_weighted_sum_of_convolutions_becomes_a_plain_one(
    make_trained: Any, assert_same: Any, weighting: str
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("a", POINT, ["input"]),
        ("b", Convolution(6, (3, 3), bias=True), ["input"]),
        ("sum", WeightedSum(weighting), ["a", "b"]),
    )
    after = fold_factors(before)
    assert kinds(after)[-1] == "add"
    assert_same(before, after)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_summand_that_takes_no_weight_keeps_it(make_trained: Any, assert_same: Any, weighting: str) -> None:
    before = make_trained((6, 9, 8), ("a", POINT, ["input"]), ("sum", WeightedSum(weighting), ["a", "input"]))
    after = fold_factors(before)
    assert after.parts["sum"].state["weight"][0] == 1
    assert_same(before, after)
    assert fold_factors(after) is after
