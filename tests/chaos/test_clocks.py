"""A worker whose clock is an hour off holds and loses its leases when everybody else says so (F6)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from drill import MODULES, Drill, drilling
from machines import eventually
from nursery import Nursery

from nas_service.studies import Budget

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(*MODULES, "shifted_clock") as nursery:
        yield nursery


@pytest.fixture
def drill(nursery: Nursery, tmp_path: Path, new_database: Path) -> Iterator[Drill]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nas.db").write_bytes(new_database.read_bytes())
    with drilling(nursery, tmp_path / "home", Database(), lease_s=2.0) as drill:
        yield drill


@pytest.mark.parametrize("offset", ["3600", "-3600"])
def test_a_wrong_clock_neither_steals_nor_keeps_a_trial(drill: Drill, offset: str) -> None:
    study = drill.launch(trials=1)
    first = drill.worker("first", study, "--epoch-ms", "2000", CHAOS_CLOCK_OFFSET_S=offset)
    eventually(lambda: drill.service.study(study).trials.running)
    (trial,) = drill.service.trials(study, state="running").items
    # One whose clock is off the other way is there all the time and takes nothing over: the lease is kept.
    other = str(-int(offset))
    second = drill.worker("second", study, CHAOS_CLOCK_OFFSET_S=other)
    eventually(lambda: len(drill.service.curve(trial.id)) >= 2)
    assert drill.service.trial(trial.id).attempt == 1
    first.kill()
    # It takes the trial over once the lease has run out, not an hour later.
    assert second.wait() == 0
    assert drill.service.trial(trial.id).worker == "second"
    assert drill.is_finished(study)
    assert drill.violations(study) == []


def test_a_budget_of_minutes_is_not_used_up_by_a_clock_that_is_ahead(drill: Drill) -> None:
    study = drill.launch(budget=Budget(trials=2, minutes=30.0))
    assert drill.worker("ahead", study, CHAOS_CLOCK_OFFSET_S="3600").wait() == 0
    assert "budget of 2 trials" in drill.service.study(study).reason
    assert drill.service.study(study).trials.trained == 2
