"""Shuffles go into convolutions, identities go."""

from typing import Any

import pytest

from search_spaces.folding.rearranging import absorb_shuffles, drop_identities
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add, Concat
from search_spaces.layers.pointwise import Activation, Dropout
from search_spaces.layers.rearranging import Shuffle, Slice
from search_spaces.layers.reduction import Pool


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("order", ["before", "behind"])
def test_a_shuffle_goes_into_the_convolution_beside_it(
    make_trained: Any, assert_same: Any, order: str, groups: int
) -> None:
    conv, shuffle = Convolution(6, (3, 3), groups=groups, bias=True), Shuffle(3)
    first, second = (shuffle, conv) if order == "before" else (conv, shuffle)
    before = make_trained((6, 9, 8), ("first", first, ["input"]), ("second", second, ["first"]))
    after = absorb_shuffles(before, expand=True)
    assert [part.layer for part in after.parts.values()] == [Convolution(6, (3, 3), bias=True)]
    assert_same(before, after)
    if groups > 1:
        assert absorb_shuffles(before) is before


def test_each_convolution_behind_a_shuffle_permutes_for_itself(make_trained: Any, assert_same: Any) -> None:
    before = make_trained(
        (6, 9),
        ("relu", Activation(), ["input"]),
        ("shuffle", Shuffle(2), ["relu"]),
        ("a", Convolution(4, (3,)), ["shuffle"]),
        ("b", Convolution(4, (1,)), ["shuffle"]),
        ("sum", Add(), ["a", "b"]),
    )
    after = absorb_shuffles(before)
    assert list(after.parts) == ["relu", "a", "b", "sum"]
    assert_same(before, after)


def test_what_changes_nothing_goes(make_trained: Any, assert_same: Any) -> None:
    before = make_trained(
        (6, 9, 8),
        ("conv", Convolution(6, (1, 1)), ["input"]),
        ("dropout", Dropout(0.5), ["conv"]),
        ("slice", Slice(0, 6), ["dropout"]),
        ("shuffle", Shuffle(1), ["slice"]),
        ("concat", Concat(), ["shuffle"]),
        ("pool", Pool("max", 1, 1), ["concat"]),
        ("sum", Add(), ["pool"]),
    )
    after = drop_identities(before)
    assert list(after.parts) == ["conv"]
    assert_same(before, after)


def test_a_network_keeps_at_least_one_layer(make_trained: Any) -> None:
    before = make_trained((6, 9, 8), ("dropout", Dropout(0.5), ["input"]))
    assert list(drop_identities(before).parts) == ["dropout"]
