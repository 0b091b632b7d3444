"""What a worker does of jobs: it does them before anything else, and outlives those that break."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas_service.exports import ExportRequest
from nas_service.jobs import Job
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Objective, StudySpec, Training
from nas_service.trials import WorkerInfo
from workers.jobs import HANDLERS
from workers.jobs.tools import JobFailed, JobResult, Tools
from workers.worker import Worker

Handler = Callable[[Job, Tools], JobResult]


@pytest.fixture
def study(service: Service, ledger: SqlLedger, tmp_path: Path) -> int:
    """Return a finished study of one trained trial."""
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"),),
        training=Training(epochs=1),
        budget=Budget(trials=1),
    )
    study = service.create_study(spec).study
    work(ledger, study, tmp_path)
    return study


def work(ledger: SqlLedger, study: int, folder: Path) -> Worker:
    """Run a worker until there is nothing left to do for a study."""
    worker = Worker(
        ledger, WorkerInfo(name="worker", host="here", pid=1), folder, study_id=study, until_finished=True
    )
    worker.run()
    return worker


@pytest.fixture
def handling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Handler], None]]:
    """Return what registers a handler for retrain jobs."""

    def register(handler: Handler) -> None:
        monkeypatch.setattr("workers.jobs.running.HANDLERS", {**HANDLERS, "retrain": handler})

    return register


def test_a_worker_exports_a_trial_of_a_finished_study(
    service: Service, ledger: SqlLedger, study: int, tmp_path: Path
) -> None:
    trial = service.trial_by_number(study, 0)
    job = service.export_trial(trial.id, ExportRequest(formats=("torch",)))
    work(ledger, study, tmp_path)
    done = service.job(job.id)
    assert (done.state, done.progress, done.worker) == ("complete", 1.0, "worker")
    assert [form["name"] for form in done.result["forms"]] == ["torch, as trained"]
    stored = {name: service.artifact_path(sha256).read_bytes() for name, sha256 in done.artifacts.items()}
    assert stored["weights.safetensors"] == service.artifact_path(trial.artifacts["weights"]).read_bytes()
    assert json.loads(stored["architecture.json"]) == trial.architecture
    assert service.study(study).trials.trained == 1


def test_a_job_that_breaks_fails_with_its_reason_and_the_next_one_is_done(
    service: Service, ledger: SqlLedger, study: int, tmp_path: Path, handling: Callable[[Handler], None]
) -> None:
    def handle(job: Job, tools: Tools) -> JobResult:
        if job.payload["how"] == "badly":
            raise ZeroDivisionError("nothing to divide by")
        if job.payload["how"] == "in order":
            raise JobFailed("the data set is gone")
        tools.progress(0.5, "half", files={"half.txt": b"half"})
        return JobResult({"epochs": 3}, {"whole.txt": b"whole"})

    handling(handle)
    jobs = [
        service.create_job("retrain", study_id=study, payload={"how": how}).id
        for how in ("badly", "in order", "well")
    ]
    work(ledger, study, tmp_path)
    assert [(service.job(job).state, service.job(job).reason) for job in jobs] == [
        ("failed", "ZeroDivisionError: nothing to divide by"),
        ("failed", "the data set is gone"),
        ("complete", None),
    ]
    assert list(service.job(jobs[2]).artifacts) == ["whole.txt"]


def test_a_cancelled_job_is_abandoned_and_one_that_is_interrupted_given_back(
    service: Service, ledger: SqlLedger, study: int, tmp_path: Path, handling: Callable[[Handler], None]
) -> None:
    seen: list[str] = []

    def handle(job: Job, tools: Tools) -> JobResult:
        if job.payload["how"] == "cancel":
            service.cancel_job(job.id)
        elif job.attempt == 1:
            worker.end()
        tools.progress(0.5, "half")
        seen.append(job.payload["how"])
        return JobResult()

    handling(handle)
    cancelled, stopped = (
        service.create_job("retrain", study_id=study, payload={"how": how}).id for how in ("cancel", "stop")
    )
    information = WorkerInfo(name="worker", host="here", pid=1)
    worker = Worker(ledger, information, tmp_path, study_id=study, until_finished=True)
    worker.run()
    assert service.job(cancelled).state == "cancelled"
    assert (service.job(stopped).state, service.job(stopped).attempt, seen) == ("running", 1, [])
    work(ledger, study, tmp_path)
    assert (service.job(stopped).state, service.job(stopped).attempt, seen) == ("complete", 2, ["stop"])
