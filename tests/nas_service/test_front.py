"""Fronts and hypervolume against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas_service.front import (
    Growth,
    crowding_distances,
    hypervolume,
    knee,
    minimised,
    non_dominated,
    non_dominated_ranks,
)
from nas_service.metrics import Goal

POINTS = hnp.arrays(
    np.float64, st.tuples(st.integers(0, 25), st.integers(2, 3)), elements=st.integers(0, 6).map(float)
)


def beats(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one <= other).all() and (one < other).any())


@given(POINTS)
def test_marks_exactly_what_no_other_beats(points: np.ndarray) -> None:
    directions: list[Goal] = ["min"] * points.shape[1]
    expected = [not any(beats(other, point) for other in points) for point in points]
    assert non_dominated(points, directions).tolist() == expected


@given(POINTS)
def test_directions_only_turn_signs(points: np.ndarray) -> None:
    lowest: list[Goal] = ["min"] * points.shape[1]
    highest: list[Goal] = ["max"] * points.shape[1]
    assert non_dominated(points, lowest).tolist() == non_dominated(-points, highest).tolist()


def test_a_missing_value_is_never_on_the_front() -> None:
    points = np.array([[0.9, np.nan], [0.5, 2.0], [np.inf, 1.0]])
    assert non_dominated(points, ["max", "min"]).tolist() == [False, True, False]


@given(POINTS)
def test_ranks_peel_front_after_front(points: np.ndarray) -> None:
    ranks = non_dominated_ranks(points)
    for index, point in enumerate(points):
        better = [ranks[other] for other in range(len(points)) if beats(points[other], point)]
        assert ranks[index] == (max(better) + 1 if better else 0)


def test_hypervolume_of_two_steps() -> None:
    points = np.array([[0.5, 1.0], [0.8, 3.0], [0.4, 2.0]])
    assert hypervolume(points, [0.0, 4.0], ["max", "min"]) == pytest.approx(0.5 * 3 + 0.3 * 1)


@given(POINTS.filter(lambda points: len(points) > 0))
def test_the_history_ends_at_the_hypervolume_and_never_falls(points: np.ndarray) -> None:
    directions: list[Goal] = ["min"] * points.shape[1]
    reference = [7.0] * points.shape[1]
    growth = Growth(reference, directions)
    growth.add(points)
    volumes = [volume for _, volume in growth.steps]
    assert volumes == sorted(volumes)
    assert growth.volume == pytest.approx(hypervolume(points, reference, directions))


@given(POINTS, st.integers(0, 25))
def test_a_history_in_pieces_is_the_history_of_the_whole(points: np.ndarray, cut: int) -> None:
    directions: list[Goal] = ["min"] * points.shape[1]
    reference = [5.0] * points.shape[1]
    whole, pieces = Growth(reference, directions), Growth(reference, directions)
    whole.add(points)
    for part in (points[:cut], points[cut:]):
        pieces.add(part)
    assert pieces.steps == whole.steps
    volumes = [hypervolume(points[:count], reference, directions) for count in range(len(points) + 1)]
    changed = [
        count for count in range(1, len(volumes)) if volumes[count] != pytest.approx(volumes[count - 1])
    ]
    assert [count for count, _ in whole.steps] == changed


def test_the_ends_of_a_front_are_infinitely_lonely() -> None:
    distances = crowding_distances(np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]]))
    assert distances.tolist() == [np.inf, pytest.approx(2.0), np.inf]


def test_the_knee_is_where_the_curve_bends() -> None:
    points = np.array([[0.70, 1.0], [0.95, 1.5], [0.96, 9.0]])
    assert knee(points, ["max", "min"]) == 1
    assert minimised(points, ["max", "min"])[0].tolist() == [-0.70, 1.0]
