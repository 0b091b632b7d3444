"""The loop of the real worker dies at each of its named points (F1, F2, G7)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from drill import Drill, drilling
from nursery import Nursery
from test_crash_points import CRASHED, IN_JOB, IN_REAL_WORKER

from nas_service.exports import ExportRequest
from nas_service.studies import Constraint, Objective, Training

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@pytest.fixture
def drill(worker_nursery: Nursery, tmp_path: Path, new_database: Path) -> Iterator[Drill]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nas.db").write_bytes(new_database.read_bytes())
    # A lease that a busy machine does not outlast; who comes again under the same name waits for none.
    with drilling(worker_nursery, tmp_path / "home", Database(), lease_s=10.0) as drill:
        yield drill


@pytest.mark.parametrize("point", IN_REAL_WORKER)
def test_the_real_worker_dies_and_comes_again(drill: Drill, point: str) -> None:
    study = drill.launch(
        2,
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=20_000)},
        training=Training(epochs=1, early_stopping="none"),
    )
    command = ("workers.cli:main", "--name", "worker", "--study", study, "--until-finished")
    assert drill.run(*command, crash=point).wait() == CRASHED
    assert drill.run(*command).wait() == 0
    assert drill.is_finished(study)
    assert drill.service.study(study).trials.complete == 2
    assert drill.violations(study) == []


def test_a_job_outlives_the_workers_that_die_over_it(drill: Drill) -> None:
    study = drill.launch(
        1,
        objectives=(Objective(metric="accuracy"),),
        constraints={},
        training=Training(epochs=1, early_stopping="none"),
    )
    command = ("workers.cli:main", "--name", "worker", "--study", study, "--until-finished")
    assert drill.run(*command).wait() == 0
    trial = drill.service.trial_by_number(study, 0)
    job = drill.service.export_trial(trial.id, ExportRequest(formats=("torch",))).id
    for point in IN_JOB:
        assert drill.run(*command, crash=point).wait() == CRASHED
        assert drill.service.job(job).state == "running"
    assert drill.run(*command).wait() == 0
    done = drill.service.job(job)
    assert (done.state, done.attempt) == ("complete", 3)
    assert "weights.safetensors" in done.artifacts
    assert drill.violations(study) == []
