"""Jobs as workers hold them, each operation within the caller's transaction.

A job is held under a lease by the database's clock, and is taken over when that runs out, as a trial is.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select, update

from nas_service.crash_points import crash_point
from nas_service.jobs import Job, JobLease, JobOutcome, JobReport
from nas_service.ledger import takeover
from nas_service.ledger.protocol import LeaseLost
from nas_service.store.engine import now_seconds
from nas_service.store.jobs import JOB_COLUMNS, job_from, tell
from nas_service.store.models import JobRow, StudyRow, TrialRow, table
from nas_service.store.rows import TRIAL_COLUMNS, study_from, trial_from
from nas_service.trials import MAX_ATTEMPTS, Instruction
from nas_service.work import Work

JOB, TRIAL, STUDY = table(JobRow), table(TrialRow), table(StudyRow)


def is_open(connection: Connection) -> ColumnElement[bool]:
    """Return whether a job waits, or has lost its worker."""
    lost = (JOB.c.state == "running") & (JOB.c.lease_expires_at < now_seconds(connection))
    return or_(JOB.c.state == "waiting", lost)


def claim(connection: Connection, job_id: int, worker_id: int, worker: str, lease_s: float) -> Work | None:
    """Take an open job; None if somebody else was faster, or if it has lost its last worker."""
    lost = (JOB.c.attempt - JOB.c.released).label("lost")
    found = select(JOB.c.state, JOB.c.reason, lost).where(JOB.c.id == job_id, is_open(connection))
    row = connection.execute(found.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    if row.lost >= MAX_ATTEMPTS:
        _change(connection, JOB.c.id == job_id, _ending("failed", f"lost {MAX_ATTEMPTS} workers"))
        return None
    values = {
        "state": "running",
        "reason": takeover.taken_over(row.reason) if row.state == "running" else None,
        "attempt": JOB.c.attempt + 1,
        "worker_id": worker_id,
        "worker": worker,
        "lease_expires_at": now_seconds(connection) + lease_s,
        "started_at": datetime.now(UTC),
    }
    taken = _change(connection, JOB.c.id == job_id, values)
    assert taken is not None, "its row is locked"
    return _work(connection, job_from(taken), worker_id)


def report(connection: Connection, lease: JobLease, told: JobReport, lease_s: float) -> Instruction:
    """Extend a lease, remember how far the job is, and say whether to go on."""
    given = told.model_dump(exclude_none=True)
    if "note" in given:
        given["reason"] = given.pop("note")
    values = {**given, "lease_expires_at": now_seconds(connection) + lease_s}
    held = _holds(lease) & (JOB.c.lease_expires_at > 0)
    row = _change(connection, held, values, is_told=bool(given))
    return "continue" if row is not None else _why_lost(connection, lease)


def end(connection: Connection, lease: JobLease, outcome: JobOutcome) -> None:
    """End a running job; raises `LeaseLost` unless the lease is its newest attempt.

    The same report again is answered like the first time.
    """
    if _known_report(connection, lease) == outcome.report_id:
        return
    found = outcome.model_dump(include={"result", "artifacts", "report_id"})
    done = {"progress": 1.0} if outcome.state == "complete" else {}
    values = {**_ending(outcome.state, outcome.reason), **found, **done}
    ended = _change(connection, _holds(lease), values)
    if ended is None:
        # The same report may have come in twice at once.
        if _known_report(connection, lease) == outcome.report_id:
            return
        raise LeaseLost(f"job {lease.job_id} belongs to a later attempt than {lease.attempt}, or has ended")
    if ended["kind"] == "confirm":
        # The front tells of it: whoever has read that is to read it again.
        grown = update(STUDY).where(STUDY.c.id == ended["study_id"])
        connection.execute(grown.values(revision=STUDY.c.revision + 1))
    crash_point("ledger.job.before_commit")


def release(connection: Connection, lease: JobLease) -> None:
    """Give an unfinished job back; said again, it counts once."""
    given = {"lease_expires_at": 0.0, "released": JOB.c.released + 1, "reason": takeover.GIVEN_BACK}
    _change(connection, _holds(lease) & (JOB.c.lease_expires_at > 0), given)


def expire(connection: Connection, worker_id: int) -> None:
    """Let a worker's unfinished jobs go to the next one at once."""
    held = (JOB.c.worker_id == worker_id) & (JOB.c.state == "running")
    connection.execute(update(JOB).where(held).values(lease_expires_at=0.0))


def is_wanted(connection: Connection, sha256: str) -> bool:
    """Whether a running job needs a file: one of its trial's, one that was asked for, or one it has kept."""
    named = select(JOB.c.payload, JOB.c.result, JOB.c.artifacts, TRIAL.c.artifacts)
    running = named.join(TRIAL, TRIAL.c.id == JOB.c.trial_id, isouter=True).where(JOB.c.state == "running")
    return any(sha256 in _strings(list(row)) for row in connection.execute(running))


def _strings(value: Any) -> set[str]:
    """Return all strings within plain data, keys left out."""
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(_strings(part) for part in parts))


def _work(connection: Connection, job: Job, worker_id: int) -> Work:
    study = connection.execute(select(STUDY).where(STUDY.c.id == job.study_id)).mappings().one()
    trial = None
    if job.trial_id is not None:
        query = select(*TRIAL_COLUMNS).where(TRIAL.c.id == job.trial_id)
        trial = trial_from(connection.execute(query).mappings().one())
    lease = JobLease(job_id=job.id, attempt=job.attempt, worker_id=worker_id)
    return Work(kind="job", study=study_from(study), trial=trial, job=job, job_lease=lease)


def _ending(state: str, reason: str | None) -> dict[str, Any]:
    ended = {"state": state, "reason": reason, "finished_at": datetime.now(UTC)}
    return {**ended, "lease_expires_at": None}


def _change(
    connection: Connection, condition: ColumnElement[bool], values: dict[str, Any], *, is_told: bool = True
) -> RowMapping | None:
    changed = update(JOB).where(condition).values(values).returning(*JOB_COLUMNS)
    row = connection.execute(changed).mappings().one_or_none()
    if row is not None and is_told:
        tell(connection, row)
    return row


def _holds(lease: JobLease) -> ColumnElement[bool]:
    is_held = (JOB.c.worker_id == lease.worker_id) & (JOB.c.state == "running")
    return (JOB.c.id == lease.job_id) & (JOB.c.attempt == lease.attempt) & is_held


def _known_report(connection: Connection, lease: JobLease) -> str | None:
    return connection.execute(select(JOB.c.report_id).where(JOB.c.id == lease.job_id)).scalar()


def _why_lost(connection: Connection, lease: JobLease) -> Instruction:
    query = select(JOB.c.state, JOB.c.attempt).where(JOB.c.id == lease.job_id)
    row = connection.execute(query).one_or_none()
    is_cancelled = row is not None and row.attempt == lease.attempt and row.state == "cancelled"
    return "stop" if is_cancelled else "lost"
