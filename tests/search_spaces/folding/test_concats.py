"""Concatenated convolutions of one input merge on request."""

from typing import Any

import pytest

from search_spaces.folding.concats import merge_concats
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Concat


@pytest.mark.parametrize("groups", [1, 2])
def test_neighbours_of_one_input_and_stride_become_one(
    make_trained: Any, assert_same: Any, groups: int
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("small", Convolution(4, (3, 3), bias=True), ["input"]),
        ("large", Convolution(6, (5, 5), groups=groups), ["input"]),
        ("wide", Convolution(2, (3, 3), dilation=3), ["input"]),
        ("concat", Concat(), ["large", "small", "wide"]),
    )
    after = merge_concats(before)
    # Distance 1 holds all, and distance 3 times 2 between the outer taps makes 7.
    assert after.parts["wide"].layer == Convolution(12, (7, 7), bias=True)
    assert_same(before, after)


def test_what_differs_stays_in_its_place(make_trained: Any, assert_same: Any) -> None:
    before = make_trained(
        (4, 9),
        ("a", Convolution(4, (3,)), ["input"]),
        ("b", Convolution(4, (3,)), ["a"]),
        ("c", Convolution(2, (1,)), ["input"]),
        ("d", Convolution(3, (5,)), ["input"]),
        ("concat", Concat(), ["b", "d", "c", "input"]),
    )
    after = merge_concats(before)
    assert after.parts["concat"].inputs == ("b", "d", "input")
    assert_same(before, after)
