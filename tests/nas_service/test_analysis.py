"""What the trials of a study teach, on histories small enough to count by hand."""

from typing import Any

import numpy as np
import pytest

from nas_service.analysis import audit, hypervolume_growth, savings, spearman
from nas_service.columns import Batch, Columns
from nas_service.details import Detail, Details
from nas_service.studies import Objective

OBJECTIVES = [Objective(metric="accuracy"), Objective(metric="latency_ms")]
# State, arm, accuracy, latency, epochs, accuracy at rung 1 and 3.
TRIALS: list[tuple[Any, Any, float, float, int, dict[int, float]]] = [
    ("complete", "search", 0.5, 1.0, 9, {1: 0.2, 3: 0.4}),
    ("pruned", "random", 0.3, 1.0, 1, {1: 0.3}),
    ("complete", "random", 0.8, 2.0, 9, {1: 0.4, 3: 0.7}),
    ("pruned", "search", 0.6, 1.0, 3, {1: 0.3, 3: 0.6}),
    ("infeasible", "search", 0.9, 0.1, 0, {}),
    ("complete", "search", 0.4, 3.0, 9, {1: 0.1, 3: 0.3}),
]


@pytest.fixture
def study() -> tuple[Columns, Details]:
    count = len(TRIALS)
    batch = Batch(
        numbers=list(range(count)),
        ids=list(range(count)),
        states=[trial[0] for trial in TRIALS],
        feasible=[trial[0] != "infeasible" for trial in TRIALS],
        excluded=[False] * count,
        arms=[trial[1] for trial in TRIALS],
        finished=[float(number) for number in range(count)],
        metrics=[{"accuracy": trial[2], "latency_ms": trial[3]} for trial in TRIALS],
    )
    details = Details((1, 3))
    details.take(1, [Detail(n, {}, {}, trial[4], trial[5]) for n, trial in enumerate(TRIALS)], count)
    return Columns.empty().changed(1, [batch]), details


def test_hypervolume_grows_with_trials_and_with_epochs(study: tuple[Columns, Details]) -> None:
    # From (0, 4): 0.5 * 3, then 0.3 * 2 more.
    by_trials = hypervolume_growth(*study, OBJECTIVES, [0.0, 4.0], "trials")
    assert by_trials.spent == [1, 3, 5]
    assert by_trials.volume == pytest.approx([1.5, 2.1, 2.1])
    by_epochs = hypervolume_growth(*study, OBJECTIVES, [0.0, 4.0], "epochs")
    assert by_epochs.spent == [9, 19, 31]
    assert by_epochs.volume == by_trials.volume


def test_an_arm_grows_as_if_it_were_alone(study: tuple[Columns, Details]) -> None:
    alone = hypervolume_growth(*study, OBJECTIVES, [0.0, 4.0], "epochs", "random")
    assert (alone.spent, alone.volume) == ([10, 10], pytest.approx([1.6, 1.6]))


def test_early_stopping_is_audited_at_each_rung(study: tuple[Columns, Details]) -> None:
    first, second = audit(*study, 9)
    assert (first.epoch, first.reached, first.stopped, first.best_stopped) == (1, 5, 1, 0.3)
    # Only the one with 0.4 was better.
    assert first.place_of_best == 2
    assert (second.epoch, second.reached, second.stopped, second.place_of_best) == (3, 4, 1, 2)
    assert first.foresight is None


def test_what_was_not_trained_is_counted(study: tuple[Columns, Details]) -> None:
    found = savings(*study, 9, repeats=4, forbidden=2)
    assert (found.epochs_trained, found.epochs_spared) == (31, 8 + 6)
    assert (found.repeats, found.rejected) == (4, 3)
    assert found.share_spared == pytest.approx(14 / 45)


def test_rank_correlation_takes_ties_at_their_mean() -> None:
    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 20, 15])) == pytest.approx(0.5)
    assert spearman(np.array([1.0, 1, 3]), np.array([1.0, 1, 3])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None
