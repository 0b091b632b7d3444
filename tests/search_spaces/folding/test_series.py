"""Convolutions in series merge where that is exact at the borders."""

from typing import Any

import pytest

from search_spaces.folding.series import merge_series
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.pointwise import Activation
from search_spaces.layers.reduction import Pool

EXACT = [
    ((4, 9, 8), Convolution(6, (3, 1)), Convolution(5, (1, 5), bias=True)),
    ((4, 9, 8), Convolution(6, (3, 1), stride=2), Convolution(5, (1, 5), stride=2)),
    ((4, 9, 8), Convolution(6, (1, 3), stride=2, dilation=3), Convolution(5, (5, 1), dilation=2)),
    ((4, 9, 8), Convolution(8, (3, 3), groups=4, bias=True), Convolution(5, (1, 1), bias=True)),
    ((4, 9, 8), Convolution(4, (3, 3), groups=4, dilation=2), Convolution(6, (1, 1), groups=2)),
    ((4, 9, 8), Convolution(6, (1, 1), groups=2, stride=2), Convolution(6, (3, 3), groups=6)),
    ((4, 11), Convolution(6, (1,), stride=2), Convolution(6, (5,), stride=3, groups=3)),
    ((2, 7, 6, 5), Convolution(4, (3, 1, 1)), Convolution(6, (1, 3, 5), groups=2)),
    ((2, 7, 6, 5), Convolution(4, (1, 1, 1), bias=True), Convolution(6, (1, 1, 1))),
    ((4, 9, 8), Convolution(6, (3, 3)), Pool("max", 1, 2)),
    ((4, 9, 8), Pool("max", 1, 2), Convolution(6, (3, 3), groups=2)),
]
INEXACT = [
    (Convolution(6, (3, 3)), Convolution(5, (3, 3))),
    (Convolution(6, (3, 1)), Convolution(5, (3, 5))),
    (Convolution(6, (1, 1), bias=True), Convolution(5, (3, 3))),
]


@pytest.mark.parametrize(("shape", "first", "second"), EXACT)
def test_two_in_series_become_one(
    make_trained: Any, assert_same: Any, shape: tuple[int, ...], first: Any, second: Any
) -> None:
    before = make_trained(shape, ("first", first, ["input"]), ("second", second, ["first"]))
    after = merge_series(before, always=True)
    assert [part.layer.kind for part in after.parts.values()] == ["convolution"]
    assert_same(before, after)


@pytest.mark.parametrize(("first", "second"), INEXACT)
def test_two_whose_border_matters_stay(make_trained: Any, first: Any, second: Any) -> None:
    before = make_trained((4, 9, 8), ("first", first, ["input"]), ("second", second, ["first"]))
    assert merge_series(before, always=True) is before


def test_a_chain_of_three_becomes_one(make_trained: Any, assert_same: Any) -> None:
    before = make_trained(
        (4, 9, 8),
        ("narrow", Convolution(2, (1, 1)), ["input"]),
        ("inner", Convolution(2, (3, 3), stride=2), ["narrow"]),
        ("wide", Convolution(8, (1, 1), bias=True), ["inner"]),
    )
    after = merge_series(before, always=True)
    assert list(after.parts) == ["wide"]
    assert_same(before, after)


def test_another_reader_or_layer_between_keeps_two_apart(make_trained: Any) -> None:
    first = ("first", Convolution(4, (1, 1)), ["input"])
    between = make_trained(
        (4, 9, 8), first, ("relu", Activation(), ["first"]), ("second", Convolution(5, (1, 1)), ["relu"])
    )
    assert merge_series(between, always=True) is between
    strides = make_trained(
        (4, 9, 8), ("first", Pool("max", 1, 2), ["input"]), ("last", Pool("max", 1, 2), ["first"])
    )
    assert merge_series(strides, always=True) is strides


@pytest.mark.parametrize(("middle", "left"), [(2, 2), (8, 1)])
def test_two_merge_only_where_that_takes_no_more_macs(make_trained: Any, middle: int, left: int) -> None:
    # 4 x 6 weights in one, 4 x middle + middle x 6 in two.
    before = make_trained(
        (4, 9, 8),
        ("first", Convolution(middle, (1, 1)), ["input"]),
        ("second", Convolution(6, (1, 1)), ["first"]),
    )
    assert len(merge_series(before, always=False).parts) == left


def test_grouped_ones_merge_in_the_groups_they_share(make_trained: Any) -> None:
    before = make_trained(
        (8, 9, 8),
        ("first", Convolution(8, (3, 3), groups=4), ["input"]),
        ("second", Convolution(8, (1, 1), groups=2), ["first"]),
    )
    (part,) = merge_series(before, always=True).parts.values()
    assert part.layer == Convolution(8, (3, 3), groups=2)
