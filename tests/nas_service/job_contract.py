"""What every ledger must keep of jobs."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ledger_contract import join, make_spec, outcome
from sqlalchemy import update

from nas_service.errors import Conflict
from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerRefused
from nas_service.service import Service
from nas_service.store.engine import writing
from nas_service.store.models import JobRow, table
from nas_service.trials import Proposal
from nas_service.work import Work


def ended(number: int, **changes: Any) -> JobOutcome:
    values: dict[str, Any] = {"state": "complete", "result": {"found": number}}
    return JobOutcome(report_id=f"job-report-{number:06d}", **{**values, **changes})


def taken(ledger: Ledger, worker: int, **asked: Any) -> tuple[Work, JobLease]:
    work = ledger.next_work(worker, **asked)
    assert work.kind == "job", work
    assert work.job_lease is not None
    return work, work.job_lease


class JobContract:
    """Run by subclasses that provide the fixtures `ledger` and `service` (on the same data)."""

    @pytest.fixture
    def lose(self, service: Service) -> Callable[[], None]:
        """Return what makes the leases of all jobs run out, as if their workers had vanished."""

        def run_out() -> None:
            with writing(service.engine) as connection:
                connection.execute(update(table(JobRow)).values(lease_expires_at=1.0))

        return run_out

    def test_a_job_comes_before_proposals_and_costs_no_budget(
        self, ledger: Ledger, service: Service, make_proposal: Callable[..., Proposal]
    ) -> None:
        study = service.create_study(make_spec()).study
        worker = join(ledger)
        weights = ledger.put_artifact(b"weights")
        lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]
        ledger.complete(lease, outcome(1, artifacts={"weights": weights}))
        other = service.create_study(make_spec()).study
        job = service.create_job("export", study_id=study, trial_id=lease.trial_id, payload={"a": [1]})
        assert (job.state, job.reason) == ("waiting", "waits for a free worker")
        with pytest.raises(LedgerRefused):
            ledger.fetch_artifact(weights)
        assert ledger.next_work(worker, study_id=other).kind == "propose"
        work, held = taken(ledger, worker)
        assert work.job is not None
        assert work.study is not None
        assert work.trial is not None
        assert (work.job.id, work.job.payload, work.job.attempt) == (job.id, {"a": [1]}, 1)
        assert (work.study.id, work.trial.id) == (study, lease.trial_id)
        assert ledger.fetch_artifact(weights).read_bytes() == b"weights"
        assert ledger.next_work(worker).kind == "propose"
        assert [known.job for known in service.workers()] == [job.id]
        report = JobReport(progress=0.5, note="half", result={"so": "far"}, artifacts={"half.txt": weights})
        assert ledger.report_job(held, report) == "continue"
        assert ledger.report_job(held, JobReport()) == "continue"
        running = service.job(job.id)
        assert (running.progress, running.reason, running.result) == (0.5, "half", {"so": "far"})
        for _ in range(2):
            ledger.complete_job(held, ended(1, artifacts={"model.onnx": weights}))
        view = service.job(job.id)
        assert (view.state, view.progress, view.result) == ("complete", 1.0, {"found": 1})
        assert view.artifacts == {"model.onnx": weights}
        with pytest.raises(LeaseLost):
            ledger.complete_job(held, ended(2))
        assert service.study(study).trials.trained == 1
        told = [event for event in service.events(study_id=study) if event.kind.startswith("job.")]
        assert [(event.kind, event.data.get("state"), event.data.get("progress")) for event in told] == [
            ("job.created", None, None),
            ("job.changed", "running", 0.0),
            ("job.changed", "running", 0.5),
            ("job.changed", "complete", 1.0),
        ]

    def test_the_job_of_a_dead_worker_goes_to_the_next_and_fails_after_three(
        self, ledger: Ledger, service: Service, lose: Callable[[], None]
    ) -> None:
        study = service.create_study(make_spec()).study
        late, prompt = join(ledger, "late"), join(ledger, "prompt")
        job = service.create_job("confirm", study_id=study).id
        _, lost = taken(ledger, late)
        kept = ledger.put_artifact(b"kept")
        ledger.report_job(lost, JobReport(progress=0.25, result={"seeds": [1]}, artifacts={"kept": kept}))
        lose()
        work, held = taken(ledger, prompt)
        assert work.job is not None
        assert (held.attempt, work.job.result, work.job.artifacts) == (2, {"seeds": [1]}, {"kept": kept})
        assert ledger.report_job(lost, JobReport(progress=0.9)) == "lost"
        with pytest.raises(LeaseLost):
            ledger.complete_job(lost, ended(1))
        ledger.release_job(lost)
        view = service.job(job)
        assert (view.worker, view.progress, view.reason) == (
            "prompt",
            0.25,
            "started again after a lost worker",
        )
        assert ledger.next_work(late).kind == "propose"
        lose()
        taken(ledger, late)
        lose()
        assert ledger.next_work(prompt).kind == "propose"
        failed = service.job(job)
        assert (failed.state, failed.reason, failed.attempt) == ("failed", "lost 3 workers", 3)

    def test_a_job_may_be_given_back_often_and_be_cancelled(self, ledger: Ledger, service: Service) -> None:
        study = service.create_study(make_spec()).study
        service.cancel(study)
        worker = join(ledger)
        job = service.create_job("retrain", study_id=study).id
        for attempt in range(1, 6):
            _, lease = taken(ledger, worker, study_id=study)
            assert lease.attempt == attempt
            ledger.release_job(lease)
            ledger.release_job(lease)
        _, lease = taken(ledger, worker)
        ledger.leave(worker)
        _, lease = taken(ledger, worker)
        assert service.cancel_job(job).state == "cancelled"
        assert ledger.report_job(lease, JobReport()) == "stop"
        with pytest.raises(LeaseLost):
            ledger.complete_job(lease, ended(1))
        with pytest.raises(Conflict, match="it is cancelled"):
            service.cancel_job(job)
        assert ledger.next_work(worker, study_id=study).kind == "finished"

    def test_workers_that_ask_at_once_take_each_job_once_and_one_for_a_gpu_waits(
        self, ledger: Ledger, service: Service
    ) -> None:
        study = service.create_study(make_spec()).study
        gpu = service.create_job("export", study_id=study, device="cuda")
        jobs = [service.create_job("export", study_id=study).id for _ in range(8)]
        done: list[int] = []

        def work(worker: int) -> None:
            while (found := ledger.next_work(worker)).kind == "job":
                assert found.job_lease is not None
                done.append(found.job_lease.job_id)
                ledger.complete_job(found.job_lease, ended(found.job_lease.job_id))

        workers = [join(ledger, f"worker-{place}") for place in range(3)]
        threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == jobs
        waiting = service.job(gpu.id)
        assert waiting.reason is not None
        assert (waiting.state, "has a GPU" in waiting.reason) == ("waiting", True)
