"""The control arm beside the search, at equal cost."""

import pytest

from nas_service.arms import Ended, compared
from nas_service.studies import Objective, StudySpec
from nas_service.trials import Arm

SPEC = StudySpec(dataset="digits", objectives=(Objective(metric="accuracy"),))


def ended(arm: Arm, epochs: int, accuracy: float, is_worthy: bool = True) -> Ended:
    return Ended(arm, epochs, is_worthy, {"accuracy": accuracy})


def test_arms_are_compared_at_the_epochs_that_both_have_trained() -> None:
    trained = [
        ended("search", 3, 0.6),
        ended("random", 3, 0.5),
        ended("search", 1, 0.9, is_worthy=False),
        ended("enqueued", 3, 0.8),
        ended("random", 9, 0.7),
        ended("search", 9, 0.95),
    ]
    view = compared(1, SPEC, trained)
    assert [(point.epochs, point.hypervolume) for point in view.random] == [(3, 0.5), (12, 0.7)]
    assert [point.epochs for point in view.search] == [3, 4, 7, 16]
    # The search's last candidate came after more epochs than the control arm has trained.
    assert (view.equal_epochs, view.search_hypervolume, view.random_hypervolume) == (12, 0.8, 0.7)
    assert view.ratio == pytest.approx(0.8 / 0.7)


def test_without_a_control_arm_nothing_is_compared() -> None:
    view = compared(1, SPEC, [ended("search", 3, 0.6)])
    assert (view.random, view.equal_epochs, view.ratio) == ([], 0, None)
    assert compared(1, SPEC, []).search == []
