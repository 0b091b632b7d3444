"""Splits are stratified, disjoint, complete, and depend on labels and seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.data.split import SplitError, stratified_split


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=8),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 2**31 - 1),
)
def test_parts_are_disjoint_complete_and_hold_every_class(counts: list[int], share: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    split = stratified_split(labels, share, seed)
    assert sorted([*split.train, *split.held_out]) == list(range(len(labels)))
    for part in (split.train, split.held_out):
        assert set(labels[part]) == set(range(len(counts)))
    for label, count in enumerate(counts):
        held = int((labels[split.held_out] == label).sum())
        assert abs(held - share * count) <= 1


def test_equal_seeds_split_equally_and_others_differ() -> None:
    labels = np.repeat(np.arange(4), 50)
    first, again, other = (stratified_split(labels, 0.2, seed) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


def test_a_class_of_one_example_cannot_be_split() -> None:
    with pytest.raises(SplitError, match="class 1 has 1 example"):
        stratified_split(np.array([0, 0, 0, 1]), 0.5, 0)
