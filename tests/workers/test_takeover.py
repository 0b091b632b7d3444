"""A trial changes hands, on a real ledger: what the first worker did is kept, and the end is the same."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.store.engine import writing
from nas_service.studies import Budget, Constraint, Objective, Recipe, Search, StudySpec, Training
from nas_service.trials import Checkpoint, EpochReport, Instruction, Lease, WorkerInfo
from nas_service.views import TrialView
from workers.worker import Worker

EPOCHS = 5


def study_of(trials: int = 1, **changes: Any) -> StudySpec:
    values: dict[str, Any] = {
        "dataset": "digits",
        "objectives": (Objective(metric="accuracy"), Objective(metric="params")),
        "constraints": {"params": Constraint(max=10_000)},
        # Rungs at epochs 1, 2 and 4.
        "training": Training(epochs=EPOCHS, reduction_factor=2, recipe=Recipe(deterministic=True)),
        "budget": Budget(trials=trials),
        "search": Search(seed=4),
    }
    return StudySpec.model_validate({**values, **changes})


class Killed(BaseException):
    """What a kill leaves undone stays undone."""


class WatchedLedger(SqlLedger):
    """A real ledger that does something behind each report of an epoch."""

    def __init__(self, service: Service, behind: Callable[[int], None] = lambda epoch: None) -> None:
        super().__init__(service.engine, settings=service.settings)
        self.behind = behind
        self.reported: list[int] = []

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        answer = super().report(lease, report)
        self.reported.append(report.epoch)
        self.behind(report.epoch)
        return answer


def worker_on(ledger: SqlLedger, study: int, folder: Path, name: str = "worker", **changes: Any) -> Worker:
    information = WorkerInfo(name=name, host="here", pid=1)
    return Worker(ledger, information, folder, study_id=study, until_finished=True, **changes)


def run_killed_behind(service: Service, study: int, folder: Path, epoch: int, **changes: Any) -> list[int]:
    """Run a worker that vanishes right behind its report of an epoch; its lease runs out at once."""

    def kill(reported: int) -> None:
        if reported == epoch:
            raise Killed

    ledger = WatchedLedger(service, kill)
    with pytest.raises(Killed):
        worker_on(ledger, study, folder, "victim", **changes).run()
    expire(service)
    return ledger.reported


def expire(service: Service) -> None:
    """Let the leases of workers that vanished run out."""
    with writing(service.engine) as connection:
        connection.execute(text("UPDATE trials SET lease_expires_at = 1.0 WHERE state = 'running'"))


def run_on(service: Service, study: int, folder: Path, **changes: Any) -> list[int]:
    """Run another worker to the study's end and return the epochs that it trained."""
    ledger = WatchedLedger(service)
    worker_on(ledger, study, folder, "heir", **changes).run()
    return ledger.reported


def running_trial(service: Service, study: int) -> TrialView:
    (item,) = service.trials(study, state="running").items
    return service.trial(item.id)


def only_trial(service: Service, study: int) -> TrialView:
    (item,) = service.trials(study, state="complete").items
    return service.trial(item.id)


@pytest.fixture
def whole(service: Service, tmp_path: Path) -> TrialView:
    """Return the trial of a study that nobody interrupted."""
    study = service.create_study(study_of()).study
    run_on(service, study, tmp_path)
    return only_trial(service, study)


def test_a_trial_whose_worker_vanished_goes_on_behind_the_last_rung(
    service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    assert run_killed_behind(service, study, tmp_path, 4) == [1, 2, 3, 4]
    assert run_on(service, study, tmp_path) == [3, 4, 5]
    trial = only_trial(service, study)
    assert trial.reason == "resumed from epoch 2 after a lost worker"
    # The same bits: the files have the same hashes.
    assert (trial.artifacts, trial.metrics) == (whole.artifacts, whole.metrics)
    assert trial.checkpoints == ()
    assert [point.attempt for point in service.curve(trial.id)] == [1, 1, 2, 2, 2]
    assert trial.timings["trained_examples"] == whole.timings["trained_examples"]


@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_a_worker_told_to_end_behind_any_epoch_leaves_its_trial_as_it_is(
    epoch: int, service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    ledger = WatchedLedger(service)
    worker = worker_on(ledger, study, tmp_path)
    ledger.behind = lambda reported: worker.end() if reported == epoch else None
    worker.run()
    assert [view.state for view in service.workers() if view.name == "worker"] == ["stopped"]
    assert run_on(service, study, tmp_path) == list(range(epoch + 1, EPOCHS + 1))
    trial = only_trial(service, study)
    assert trial.reason == f"resumed from epoch {epoch} after its worker gave it back"
    assert (trial.artifacts, trial.metrics) == (whole.artifacts, whole.metrics)


def test_told_to_end_behind_the_last_epoch_a_worker_finishes_its_trial(
    service: Service, tmp_path: Path
) -> None:
    study = service.create_study(study_of(2)).study
    ledger = WatchedLedger(service)
    worker = worker_on(ledger, study, tmp_path)
    ledger.behind = lambda reported: worker.end() if reported == EPOCHS else None
    worker.run()
    counts = service.study(study).trials
    assert (counts.complete, counts.running) == (1, 0)


def test_an_epoch_without_end_is_abandoned_and_the_one_before_kept(
    service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    kept: list[int] = []

    class Ending(WatchedLedger):
        def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
            super().checkpoint(lease, checkpoint)
            kept.append(checkpoint.epoch)
            if checkpoint.epoch == 2:
                # Behind its report the third epoch begins.
                worker.end()

    ledger = Ending(service)
    worker = worker_on(ledger, study, tmp_path, drain_s=0.0)
    worker.run()
    assert (ledger.reported, kept) == ([1, 2], [1, 2])
    assert run_on(service, study, tmp_path) == [3, 4, 5]
    assert only_trial(service, study).artifacts == whole.artifacts


@pytest.mark.parametrize(
    ("damaged", "trained"), [(1, [2, 3, 4, 5]), (2, [1, 2, 3, 4, 5])], ids=["newest", "both"]
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_else_to_the_beginning(
    damaged: int, trained: list[int], service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    run_killed_behind(service, study, tmp_path, 3)
    checkpoints = running_trial(service, study).checkpoints
    assert [checkpoint.epoch for checkpoint in checkpoints] == [2, 1]
    for checkpoint in checkpoints[:damaged]:
        path = service.artifact_path(checkpoint.sha256)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert run_on(service, study, tmp_path) == trained
    trial = only_trial(service, study)
    assert (trial.artifacts, trial.metrics) == (whole.artifacts, whole.metrics)


def test_a_checkpoint_of_another_network_is_not_gone_on_from(
    service: Service, tmp_path: Path, whole: TrialView
) -> None:
    other = service.create_study(study_of(search=Search(seed=5))).study
    run_killed_behind(service, other, tmp_path, 3)
    foreign = running_trial(service, other).checkpoints
    study = service.create_study(study_of()).study
    run_killed_behind(service, study, tmp_path, 3)
    with writing(service.engine) as connection:
        swap = text("UPDATE trials SET checkpoints = :kept WHERE state = 'running' AND study_id = :study")
        kept = "[" + ", ".join(checkpoint.model_dump_json() for checkpoint in foreign) + "]"
        connection.execute(swap, {"kept": kept, "study": study})
    assert run_on(service, study, tmp_path) == [1, 2, 3, 4, 5]
    assert only_trial(service, study).artifacts == whole.artifacts


class KilledLedger(WatchedLedger):
    """A real ledger whose worker vanishes between storing the second checkpoint and telling of it."""

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        if checkpoint.epoch == 2:
            raise Killed
        super().checkpoint(lease, checkpoint)


def test_a_worker_that_vanishes_while_it_saves_leaves_the_checkpoint_before(
    service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    with pytest.raises(Killed):
        worker_on(KilledLedger(service), study, tmp_path, "victim").run()
    expire(service)
    assert run_on(service, study, tmp_path) == [2, 3, 4, 5]
    assert only_trial(service, study).artifacts == whole.artifacts


class AwayLedger(WatchedLedger):
    """A real ledger that takes no files before the last epoch."""

    refused = 0

    def put_artifact(self, content: bytes) -> str:
        if EPOCHS not in self.reported:
            self.refused += 1
            raise LedgerUnavailable("cut off")
        return super().put_artifact(content)


def test_a_ledger_that_is_away_costs_the_checkpoints_and_nothing_else(
    service: Service, tmp_path: Path, whole: TrialView
) -> None:
    study = service.create_study(study_of()).study
    ledger = AwayLedger(service)
    worker_on(ledger, study, tmp_path).run()
    # Once at each rung and, being owed, behind the epochs between.
    assert ledger.refused == EPOCHS - 1
    assert only_trial(service, study).artifacts == whole.artifacts


class NoDataLedger(WatchedLedger):
    """A real ledger that is away when data are asked for."""

    def fetch_dataset(self, sha256: str) -> Path:
        self.behind(0)
        raise LedgerUnavailable("cut off")


def test_told_to_end_before_its_data_came_a_worker_gives_the_trial_back(
    service: Service, tmp_path: Path
) -> None:
    study = service.create_study(study_of()).study
    ledger = NoDataLedger(service)
    worker = worker_on(ledger, study, tmp_path)
    ledger.behind = lambda _: worker.end()
    worker.run()
    assert running_trial(service, study).reason == "given back by its worker"
    assert run_on(service, study, tmp_path) == [1, 2, 3, 4, 5]


def test_without_rungs_checkpoints_come_by_time(service: Service, tmp_path: Path) -> None:
    training = Training(epochs=EPOCHS, early_stopping="none", recipe=Recipe(deterministic=True))
    study = service.create_study(study_of(training=training)).study
    run_killed_behind(service, study, tmp_path, 4, checkpoint_s=0.0)
    assert run_on(service, study, tmp_path) == [4, 5]
    other = service.create_study(study_of(training=training)).study
    run_killed_behind(service, other, tmp_path, 4, checkpoint_s=1000.0)
    assert run_on(service, other, tmp_path) == [1, 2, 3, 4, 5]


def test_a_latency_that_the_trial_has_is_not_measured_again(service: Service, tmp_path: Path) -> None:
    objectives = (Objective(metric="accuracy"), Objective(metric="latency_ms"))
    study = service.create_study(study_of(objectives=objectives)).study
    run_killed_behind(service, study, tmp_path, 2)
    found = running_trial(service, study).latency
    assert found is not None
    with writing(service.engine) as connection:
        connection.execute(text("DELETE FROM measurements"))
    run_on(service, study, tmp_path)
    assert only_trial(service, study).latency == found
    with writing(service.engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM measurements")).scalar() == 0


def test_a_process_that_always_dies_fails_its_trial_only_when_it_gets_no_farther(
    service: Service, tmp_path: Path
) -> None:
    study = service.create_study(study_of()).study
    # Each gets one rung farther than the one before.
    for epoch in (2, 3):
        run_killed_behind(service, study, tmp_path, epoch)
    for _ in range(2):
        run_killed_behind(service, study, tmp_path, 4)
    running = running_trial(service, study)
    assert running.attempt == 4
    ledger = WatchedLedger(service)
    worker_on(ledger, study, tmp_path, "last").run()
    assert ledger.reported == []
    trial = service.trial(running.id)
    assert (trial.state, trial.reason) == ("failed", "lost 3 workers after epoch 2")


PROGRAM = """
import os, sys
from pathlib import Path
import torch
from nas_service.ledger.sql import SqlLedger
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.trials import WorkerInfo
from workers.worker import Worker

class Killed(SqlLedger):
    def complete(self, lease, outcome):
        os._exit(9)

    def put_artifact(self, content):
        if sys.argv[3] == "files":
            os._exit(9)
        return super().put_artifact(content)

torch.set_num_threads(1)
settings = Settings(home=Path(sys.argv[1]), database_url=None)
ledger = Killed(make_engine(settings.resolved_database_url), settings=settings)
information = WorkerInfo(name="victim", host="here", pid=1)
Worker(ledger, information, Path(sys.argv[2]), checkpoint_s=1000.0).run()
"""


@pytest.mark.parametrize("before", ["files", "result"])
def test_what_a_killed_worker_had_finished_is_delivered_by_another(
    before: str, service: Service, tmp_path: Path
) -> None:
    training = Training(epochs=2, early_stopping="none", recipe=Recipe(deterministic=True))
    study = service.create_study(study_of(training=training)).study
    spool = tmp_path / "spool"
    command = [sys.executable, "-c", PROGRAM, str(service.settings.data_home), str(spool), before]
    assert subprocess.run(command, check=False).returncode == 9
    assert len(list(spool.glob("*.json"))) == 1
    assert run_on(service, study, spool) == []
    trial = only_trial(service, study)
    assert (trial.worker, trial.attempt) == ("victim", 1)
    assert all(service.artifact_path(sha256).is_file() for sha256 in trial.artifacts.values())
    assert trial.artifacts.keys() == {"weights", "architecture", "evaluation"}
    assert list(spool.iterdir()) == []
