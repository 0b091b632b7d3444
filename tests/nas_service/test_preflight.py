"""How long a search will take is told from what was trained before, however small that was."""

import pytest

from nas_service.preflight import EXAMPLE_S, MACS_PER_S, TRAINING_FACTOR, report, training_pace
from nas_service.service import Service
from nas_service.studies import Budget, StudySpec
from search_spaces import resolve_space

SPEC = StudySpec(dataset="digits", budget=Budget(trials=10))


def minutes(service: Service, pace: float | None, workers: int = 1) -> float:
    told = report(SPEC, resolve_space("two_conv"), service.dataset("digits"), 20, pace, workers)
    assert told.estimated_minutes is not None
    return told.estimated_minutes


def test_the_pace_is_that_of_trials_whatever_their_size() -> None:
    small, large = 20_000.0, 20_000_000.0
    trained = [
        (macs, 1000.0, 1.5 * 1000.0 * (EXAMPLE_S + macs * TRAINING_FACTOR / MACS_PER_S))
        for macs in (small, small, large)
    ]
    for some in (trained[:1], trained[2:], trained):
        assert training_pace(some) == pytest.approx(1.5)
    assert training_pace([]) is None
    assert training_pace([(small, 0.0, 1.0), (small, 1000.0, 0.0)]) is None


def test_a_slower_pace_and_fewer_workers_take_longer(service: Service) -> None:
    assert minutes(service, 2.0) == pytest.approx(2 * minutes(service, 1.0), rel=0.01)
    assert minutes(service, None) == pytest.approx(2 * minutes(service, None, workers=2), rel=0.01)
