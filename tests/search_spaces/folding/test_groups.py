"""Grouped convolutions become dense, and dense ones with blocks grouped."""

from typing import Any

import numpy as np
import pytest

from search_spaces.folding.groups import expand_groups, regroup
from search_spaces.layers.convolution import Convolution


@pytest.mark.parametrize("groups", [2, 3, 6])
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 8), (6, 5, 6, 4)])
def test_groups_expand_to_a_dense_kernel_and_come_back(
    make_trained: Any, assert_same: Any, shape: tuple[int, ...], groups: int
) -> None:
    kernel = (3, 5, 1)[: len(shape) - 1]
    layer = Convolution(12, kernel, stride=2, groups=groups, dilation=2, bias=True)
    before = make_trained(shape, ("conv", layer, ["input"]))
    dense = expand_groups(before)
    assert dense.parts["conv"].state["weight"].shape == (12, 6, *kernel)
    assert_same(before, dense)
    back = regroup(dense)
    assert isinstance(back.parts["conv"].layer, Convolution)
    assert back.parts["conv"].layer.groups == groups
    np.testing.assert_array_equal(back.parts["conv"].state["weight"], before.parts["conv"].state["weight"])


def test_a_full_or_empty_weight_stays_dense(make_trained: Any) -> None:
    full = make_trained((4, 9), ("conv", Convolution(4, (3,)), ["input"]))
    assert regroup(full) is full
    part = full.parts["conv"]
    empty = full.with_part("conv", type(part)(part.layer, part.inputs, {"weight": np.zeros((4, 4, 3))}))
    assert regroup(empty) is empty
