"""Expected improvement against volumes that can be computed exactly."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nas_service.front import hypervolume
from workers.auto.improvement import Outlook, at_most, expected_improvement, uncovered

FRONT = np.array([[0.2, 0.7], [0.5, 0.4], [0.8, 0.1]])
POINTS = np.random.default_rng(1).random((200_000, 2))


def share(values: list[float], deviation: float = 0.0) -> float:
    """Return the share of the unit square that a candidate is expected to add to the front."""
    outlook = Outlook(np.array([values]), np.array([[deviation, 0.0]]))
    return float(expected_improvement(outlook, uncovered(POINTS, FRONT))[0]) / len(POINTS)


def volume(rows: NDArray[np.float64]) -> float:
    return hypervolume(rows, (1.0, 1.0), ("min", "min"))


@pytest.mark.parametrize("values", [[0.3, 0.3], [0.1, 0.9], [0.6, 0.5], [0.05, 0.05]])
def test_a_certain_candidate_adds_what_the_hypervolume_gains(values: list[float]) -> None:
    gain = volume(np.vstack([FRONT, values])) - volume(FRONT)
    assert share(values) == pytest.approx(gain, abs=0.004)


def test_an_uncertain_candidate_adds_the_mean_of_what_it_might() -> None:
    draws = np.random.default_rng(2).normal(0.45, 0.1, 2000)
    gains = [volume(np.vstack([FRONT, [draw, 0.3]])) - volume(FRONT) for draw in draws]
    assert share([0.45, 0.3], deviation=0.1) == pytest.approx(float(np.mean(gains)), abs=0.004)


def test_a_beaten_candidate_adds_only_what_doubt_leaves() -> None:
    assert share([0.9, 0.5]) == 0.0
    assert 0.0 < share([0.9, 0.5], deviation=0.2) < 0.05


def test_the_normal_distribution_is_met_to_two_thousandths() -> None:
    bounds = np.linspace(-4.0, 4.0, 81)
    exact = [0.5 * (1.0 + math.erf(bound / math.sqrt(2.0))) for bound in bounds]
    assert np.abs(at_most(bounds, np.zeros(81), np.ones(81)) - exact).max() < 2e-3
