"""Operations on jobs, each within the caller's transaction."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update

from nas_service.errors import Conflict, no_such
from nas_service.jobs import Job, JobKind, JobState
from nas_service.store import events
from nas_service.store.models import JobRow, TrialRow, table

JOB = table(JobRow)
JOB_FIELDS = tuple(Job.model_fields)
JOB_COLUMNS = tuple(JOB.c[name] for name in JOB_FIELDS)


def job_from(row: RowMapping) -> Job:
    """Return a job; the row was written by us, so it is not validated again."""
    return Job.model_construct(**{name: row[name] for name in JOB_FIELDS})


def insert_job(
    connection: Connection,
    kind: JobKind,
    study_id: int,
    *,
    trial_id: int | None = None,
    payload: dict[str, Any] | None = None,
    device: str | None = None,
) -> int:
    """Write a waiting job and return its id."""
    values = {
        "kind": kind,
        "study_id": study_id,
        "trial_id": trial_id,
        "payload": payload or {},
        "device": device,
        "state": "waiting",
        "result": {},
        "artifacts": {},
        "created_at": datetime.now(UTC),
    }
    job_id: int = connection.execute(insert(JobRow).values(values).returning(JOB.c.id)).scalar_one()
    data = {"job": job_id, "kind": kind, **_about(connection, trial_id)}
    events.append(connection, study_id, ("job.created", data))
    return job_id


def read_job(connection: Connection, job_id: int) -> Job:
    """Return a job; raises `NotFound`."""
    row = connection.execute(select(*JOB_COLUMNS).where(JOB.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise no_such("job", job_id)
    return job_from(row)


def read_jobs(
    connection: Connection,
    *,
    study_id: int | None = None,
    trial_id: int | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    below: int | None = None,
    limit: int,
) -> list[Job]:
    """Return jobs of an id under `below`, the newest first."""
    asked = {"study_id": study_id, "trial_id": trial_id, "kind": kind, "state": state}
    conditions: list[ColumnElement[bool]] = [
        JOB.c[name] == value for name, value in asked.items() if value is not None
    ]
    if below is not None:
        conditions.append(JOB.c.id < below)
    query = select(*JOB_COLUMNS).where(and_(True, *conditions)).order_by(JOB.c.id.desc()).limit(limit)
    return [job_from(row) for row in connection.execute(query).mappings()]


def cancel_job(connection: Connection, job_id: int) -> None:
    """End a job that waits or runs; raises `Conflict` where it has ended."""
    values = {
        "state": "cancelled",
        "reason": "cancelled on request",
        "lease_expires_at": None,
        "finished_at": datetime.now(UTC),
    }
    is_open = (JOB.c.id == job_id) & JOB.c.state.in_(("waiting", "running"))
    ended = connection.execute(update(JOB).where(is_open).values(values).returning(*JOB_COLUMNS))
    row = ended.mappings().one_or_none()
    if row is None:
        raise Conflict(f"cannot cancel job {job_id}: it is {read_job(connection, job_id).state}")
    tell(connection, row)


def count_open_before(connection: Connection, job: Job) -> int:
    """Return how many jobs will be taken before a waiting one."""
    before = (JOB.c.state == "waiting") & (JOB.c.id < job.id)
    return connection.execute(select(func.count()).select_from(JOB).where(before)).scalar_one()


def tell(connection: Connection, row: RowMapping) -> None:
    """Append the event of a job that changed."""
    names = ("kind", "state", "progress", "reason")
    about = _about(connection, row["trial_id"])
    data = {"job": row["id"], **about, **{name: row[name] for name in names}}
    events.append(connection, row["study_id"], ("job.changed", data))


def _about(connection: Connection, trial_id: int | None) -> dict[str, int | None]:
    """Return the trial of a job as an event tells it: by its id, and by the number that people know."""
    if trial_id is None:
        return {"trial": None}
    query = select(TrialRow.number).where(TrialRow.id == trial_id)
    return {"trial": trial_id, "number": connection.execute(query).scalar_one()}
