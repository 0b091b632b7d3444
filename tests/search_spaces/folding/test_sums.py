"""Summands over one input merge into one convolution."""

from typing import Any

import pytest

from search_spaces.folding.norms import fold_factors
from search_spaces.folding.sums import merge_sums
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add, WeightedSum
from search_spaces.layers.reduction import Pool

ALIKE = [
    ((4, 9), [Convolution(6, (3,)), Convolution(6, (7,), bias=True)]),
    ((4, 9, 8), [Convolution(6, (3, 1)), Convolution(6, (1, 5)), Convolution(6, (1, 1))]),
    ((4, 9, 8), [Convolution(6, (3, 3), stride=2, bias=True), Convolution(6, (5, 5), stride=2, bias=True)]),
    ((4, 9, 8), [Convolution(8, (3, 3), groups=4), Convolution(8, (3, 3), groups=2, dilation=2)]),
    ((4, 9, 8), [Convolution(6, (3, 3), dilation=2), Convolution(6, (3, 3), dilation=3)]),
    ((4, 9, 8), [Convolution(6, (3, 3), dilation=4), Convolution(6, (3, 3), dilation=(2, 4))]),
    ((2, 5, 6, 7), [Convolution(4, (3, 1, 5)), Convolution(4, (1, 3, 3), groups=2)]),
    ((4, 9, 8), [Convolution(4, (3, 3), stride=2), Pool("max", 1, 2)]),
]
SUMS = [Add(), WeightedSum("softmax"), WeightedSum("sigmoid"), WeightedSum("free")]


@pytest.mark.parametrize("merging", SUMS)
@pytest.mark.parametrize(("shape", "layers"), ALIKE)
def test_convolutions_of_one_input_become_one(
    make_trained: Any, assert_same: Any, shape: tuple[int, ...], layers: list[Any], merging: Any
) -> None:
    lines = [(f"branch{number}", layer, ["input"]) for number, layer in enumerate(layers)]
    before = make_trained(shape, *lines, ("sum", merging, [name for name, _, _ in lines]))
    after = merge_sums(fold_factors(before), always=True)
    assert [part.layer.kind for part in after.parts.values()][:-1] == ["convolution"]
    assert len(after.parts["sum"].inputs) == 1
    assert_same(before, after)


@pytest.mark.parametrize("merging", SUMS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_input_itself_is_a_kernel_of_one_tap(
    make_trained: Any, assert_same: Any, merging: Any, groups: int
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("conv", Convolution(4, (3, 3), groups=groups), ["input"]),
        ("sum", merging, ["input", "conv", "input"]),
    )
    after = merge_sums(fold_factors(before), always=False)
    assert after.parts["conv"].layer == Convolution(4, (3, 3), groups=groups)
    assert after.parts["sum"].inputs == ("conv",)
    assert_same(before, after)


def test_a_convolution_that_is_read_twice_merges_with_what_reads_it(
    make_trained: Any, assert_same: Any
) -> None:
    before = make_trained(
        (4, 9, 8),
        ("first", Convolution(4, (3, 3)), ["input"]),
        ("second", Convolution(4, (3, 3)), ["first"]),
        ("sum", Add(), ["first", "second"]),
    )
    after = merge_sums(before, always=False)
    assert after.parts["sum"].inputs == ("second",)
    assert_same(before, after)


@pytest.mark.parametrize(
    ("side", "second", "source"),
    [
        (9, Convolution(4, (3, 3)), "other"),
        (9, Pool("avg", 3, 1), "input"),
        (9, Pool("max", 3, 1), "input"),
        # On a map of one position any stride makes the same shape.
        (1, Convolution(4, (3, 3), stride=2), "input"),
    ],
)
def test_other_inputs_layers_and_strides_stay(make_trained: Any, side: int, second: Any, source: str) -> None:
    before = make_trained(
        (4, side, side),
        ("other", Pool("max", 3, 1), ["input"]),
        ("first", Convolution(4, (3, 3)), ["input"]),
        ("second", second, [source]),
        ("sum", Add(), ["first", "second"]),
    )
    assert list(merge_sums(before, always=True).parts)[-3:] == ["first", "second", "sum"]


def test_two_identities_alone_are_no_convolution(make_trained: Any) -> None:
    before = make_trained((4, 9, 8), ("sum", Add(), ["input", "input"]))
    assert merge_sums(before, always=True) is before


@pytest.mark.parametrize(("kernels", "left"), [([(3, 1), (1, 3)], 2), ([(3, 1), (1, 3), (3, 3)], 1)])
def test_summands_merge_only_where_that_takes_no_more_macs(
    make_trained: Any, assert_same: Any, kernels: list[tuple[int, ...]], left: int
) -> None:
    # A column and a row have 6 taps, the square they make has 9; beside a square they come for nothing.
    lines = [(f"branch{number}", Convolution(6, taps), ["input"]) for number, taps in enumerate(kernels)]
    before = make_trained((4, 9, 8), *lines, ("sum", Add(), [name for name, _, _ in lines]))
    after = merge_sums(before, always=False)
    assert len(after.parts["sum"].inputs) == left
    assert_same(before, after)


def test_equal_dilations_stay_dilated(make_trained: Any) -> None:
    layer = Convolution(4, (3, 3), dilation=2)
    before = make_trained((4, 9, 8), ("a", layer, ["input"]), ("sum", Add(), ["a", "input"]))
    assert merge_sums(before, always=False).parts["a"].layer == layer
