"""Who is confirmed, and what several runs say together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas_service.confirming import chosen, quality_of, summarised
from nas_service.front import hypervolume
from nas_service.studies import Objective, StudySpec

# Accuracy and milliseconds.
FRONT = np.array([[0.90, 1.0], [0.91, 1.1], [0.95, 2.0], [0.96, 3.9]])


def test_those_are_chosen_that_cover_most_of_the_front_together() -> None:
    assert chosen(FRONT, [0.0, 4.0], ["max", "min"], 2) == [0, 2]
    assert chosen(FRONT, [0.0, 4.0], ["max", "min"], None) == [0, 2, 1, 3]
    assert chosen(FRONT[:0], [0.0, 4.0], ["max", "min"], 3) == []


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(0, 4).map(float)),
    st.integers(0, 9),
)
def test_looking_at_most_rows_once_chooses_as_looking_at_all_of_them(values: np.ndarray, top: int) -> None:
    reference, directions = [5.0, 5.0, 5.0], ["min", "min", "min"]
    left, taken = list(range(len(values))), list[int]()
    while left and len(taken) < top:
        volumes = [hypervolume(values[[*taken, row]], reference, directions) for row in left]
        taken.append(left.pop(int(np.argmax(volumes))))
    assert chosen(values, reference, directions, top) == taken


def test_a_front_that_is_taken_whole_is_put_in_order_as_far_as_that_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas_service.confirming.ORDERED", 2)
    assert chosen(FRONT, [0.0, 4.0], ["max", "min"], None) == [0, 2, 1, 3]


def test_what_lies_beyond_the_reference_point_comes_last() -> None:
    assert chosen(FRONT, [0.0, 1.5], ["max", "min"], 3)[:2] == [0, 1]


def test_one_run_says_nothing_of_the_spread() -> None:
    told = summarised([{"accuracy": 0.9, "error": 0.1}], {"accuracy": 0.95}, "accuracy")
    assert told is not None
    assert told.runs == 1
    assert told.deviation == {}
    assert told.optimism == pytest.approx(0.05)


def test_optimism_is_positive_where_the_search_was_too_hopeful_whatever_the_direction() -> None:
    told = summarised([{"error": 0.12}, {"error": 0.10}], {"error": 0.08}, "error")
    assert told is not None
    assert told.optimism == pytest.approx(0.03)
    assert told.deviation["error"] == pytest.approx(np.std([0.12, 0.10], ddof=1))


def test_only_what_every_run_has_is_told() -> None:
    told = summarised([{"accuracy": 0.9, "roc_auc": 0.9}, {"accuracy": 0.8}], {}, "accuracy")
    assert told is not None
    assert set(told.mean) == {"accuracy"}
    assert told.optimism is None
    assert summarised([], {"accuracy": 0.9}, "accuracy") is None


def test_the_quality_that_is_judged_is_the_first_that_was_asked_for() -> None:
    objectives = (Objective(metric="params"), Objective(metric="f1_macro"), Objective(metric="accuracy"))
    assert quality_of(StudySpec(dataset="digits", objectives=objectives)).metric == "f1_macro"
    assert quality_of(StudySpec(dataset="digits", objectives=objectives[:1])).metric == "accuracy"
