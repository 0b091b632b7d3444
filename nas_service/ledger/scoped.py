"""The ledger as one token sees it: its own workers, and what they hold."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, or_, select

from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.ledger.protocol import LeaseLost, LedgerRefused, NotYours
from nas_service.ledger.sql import SqlLedger
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement
from nas_service.store.engine import reading
from nas_service.store.models import SeatRow, TrialRow, WorkerRow, table
from nas_service.trials import (
    Changes,
    Checkpoint,
    EpochReport,
    Instruction,
    Lease,
    Outcome,
    Proposal,
    Registration,
    Reservation,
    WorkerInfo,
)
from nas_service.work import Work

SEAT, TRIAL, WORKER = table(SeatRow), table(TrialRow), table(WorkerRow)


class ScopedLedger:
    """`Ledger` for the workers of one token; see the protocol for what each method promises.

    Beyond that, methods raise `NotYours` for another token's worker, and `LeaseLost` for a lease that such a
    worker holds, but `complete` of a trial raises `NotYours` there too. An admin's token reaches all workers.

    Args:
        ledger: What does the work.
        engine: Its database.
        token_id: Whose workers these are.
        reaches_all: Whether the token is an admin's.
    """

    def __init__(self, ledger: SqlLedger, engine: Engine, token_id: int, *, reaches_all: bool) -> None:
        self._ledger = ledger
        self._engine = engine
        self._token_id = token_id
        self._reaches_all = reaches_all

    def register(self, worker: WorkerInfo) -> Registration:
        return self._ledger.register(worker, token_id=self._token_id, takes_any_name=self._reaches_all)

    def leave(self, worker_id: int) -> None:
        self._check(worker_id)
        self._ledger.leave(worker_id)

    def draining(self, worker_id: int) -> None:
        self._check(worker_id)
        self._ledger.draining(worker_id)

    def next_work(self, worker_id: int, *, study_id: int | None = None) -> Work:
        self._check(worker_id)
        return self._ledger.next_work(worker_id, study_id=study_id)

    def join_study(self, study_id: int, worker_id: int) -> int:
        self._check(worker_id)
        return self._ledger.join_study(study_id, worker_id)

    def changes(self, study_id: int, since: int) -> Changes:
        return self._ledger.changes(study_id, since)

    def reserve(
        self,
        study_id: int,
        worker_id: int,
        proposals: list[Proposal],
        *,
        attributes: dict[str, Any] | None = None,
    ) -> Reservation:
        self._check(worker_id)
        return self._ledger.reserve(study_id, worker_id, proposals, attributes=attributes)

    def heartbeat(self, lease: Lease) -> Instruction:
        self._check_lease(lease)
        return self._ledger.heartbeat(lease)

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        self._check_lease(lease)
        return self._ledger.report(lease, report)

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        self._check_lease(lease)
        self._ledger.checkpoint(lease, checkpoint)

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        # Not `LeaseLost`: a worker with the other token may deliver it.
        self._check(lease.worker_id)
        self._ledger.complete(lease, outcome)

    def release(self, lease: Lease) -> None:
        self._check_lease(lease)
        self._ledger.release(lease)

    def give_up(self, study_id: int, reason: str) -> None:
        self._check_has_worked(study_id)
        self._ledger.give_up(study_id, reason)

    def fetch_dataset(self, sha256: str) -> Path:
        return self._ledger.fetch_dataset(sha256)

    def put_artifact(self, content: bytes) -> str:
        return self._ledger.put_artifact(content)

    def fetch_artifact(self, sha256: str) -> Path:
        return self._ledger.fetch_artifact(sha256)

    def report_job(self, lease: JobLease, report: JobReport) -> Instruction:
        self._check_lease(lease)
        return self._ledger.report_job(lease, report)

    def complete_job(self, lease: JobLease, outcome: JobOutcome) -> None:
        self._check_lease(lease)
        self._ledger.complete_job(lease, outcome)

    def release_job(self, lease: JobLease) -> None:
        self._check_lease(lease)
        self._ledger.release_job(lease)

    def known_measurement(
        self,
        network_hash: str,
        device: str,
        runtime_version: str | None = None,
        machine: str | None = None,
    ) -> Measurement | None:
        return self._ledger.known_measurement(network_hash, device, runtime_version, machine)

    def store_measurement(
        self, architecture: dict[str, Any], measurement: Measurement, worker_id: int
    ) -> None:
        self._check(worker_id)
        self._ledger.store_measurement(architecture, measurement, worker_id)

    def measurements(self, device: str, since_id: int = 0, limit: int = 500) -> list[StoredMeasurement]:
        return self._ledger.measurements(device, since_id, limit)

    def request_measurement(
        self, device: str, architecture: dict[str, Any], network_hash: str
    ) -> MeasurementRequest:
        return self._ledger.request_measurement(device, architecture, network_hash)

    def next_measurement(self, worker_id: int) -> MeasurementRequest | None:
        self._check(worker_id)
        return self._ledger.next_measurement(worker_id)

    def answer_measurement(self, request_id: int, worker_id: int, answer: Measurement | str) -> None:
        self._check(worker_id)
        self._ledger.answer_measurement(request_id, worker_id, answer)

    def _check(self, worker_id: int) -> None:
        if self._reaches_all:
            return
        with reading(self._engine) as connection:
            owner = connection.execute(
                select(WORKER.c.token_id).where(WORKER.c.id == worker_id)
            ).one_or_none()
        if owner is None:
            raise LedgerRefused(f"there is no worker {worker_id}; register first")
        if owner.token_id != self._token_id:
            raise NotYours(f"worker {worker_id} belongs to another token; register first")

    def _check_lease(self, lease: Lease | JobLease) -> None:
        try:
            self._check(lease.worker_id)
        except NotYours as error:
            what = f"trial {lease.trial_id}" if isinstance(lease, Lease) else f"job {lease.job_id}"
            raise LeaseLost(f"the lease of {what} is another worker's") from error

    def _check_has_worked(self, study_id: int) -> None:
        """A study is given up by those that propose for it, or train its trials."""
        if self._reaches_all:
            return
        mine = select(WORKER.c.id).where(WORKER.c.token_id == self._token_id)
        proposes = select(SEAT.c.seat).where(SEAT.c.study_id == study_id, SEAT.c.worker_id.in_(mine))
        trains = select(TRIAL.c.id).where(TRIAL.c.study_id == study_id, TRIAL.c.worker_id.in_(mine))
        with reading(self._engine) as connection:
            has_worked = connection.execute(select(or_(proposes.exists(), trains.exists()))).scalar_one()
        if not has_worked:
            raise NotYours(f"no worker of this token has worked for study {study_id}")
