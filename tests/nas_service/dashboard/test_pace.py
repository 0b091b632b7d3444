"""The time a study will still take."""

from datetime import UTC, datetime, timedelta

import pytest

from nas_service.dashboard.pace import time_left_text
from nas_service.studies import Budget, StudySpec
from nas_service.views import StudyView, TrialCounts

LAUNCH = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trials", "minutes", "trained", "alive", "words"),
    [
        (30, None, 10, 1, "about 20 min 00 s"),
        (30, None, 10, 0, "unknown"),
        (30, None, 0, 1, "unknown"),
        (30, 25.0, 10, 1, "15 min 00 s"),
        (30, 60.0, 10, 1, "about 20 min 00 s"),
        (None, 5.0, 10, 1, "0 ms"),
    ],
)
def test_the_nearer_of_deadline_and_pace_is_told(
    trials: int | None, minutes: float | None, trained: int, alive: int, words: str
) -> None:
    study = StudyView(
        study=1,
        name="s",
        state="running",
        reason="",
        trials=TrialCounts(complete=trained),
        budget_trials=trials,
        elapsed_s=600.0,
        sequence=1,
        created_at=LAUNCH,
        finished_at=None,
        dataset_sha256="0" * 64,
        spec=StudySpec(dataset="digits", budget=Budget(trials=trials, minutes=minutes)),
    )
    assert time_left_text(study, alive, LAUNCH + timedelta(minutes=10)) == words
