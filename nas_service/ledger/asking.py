"""What a worker is to do next, in three statements that are built once.

Asking is what idle workers do all day: building an SQL expression costs more than the database needs for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, or_, select

from nas_service.devices import LOCAL_DEVICES
from nas_service.ledger import budget, job_leases
from nas_service.ledger.protocol import LedgerRefused
from nas_service.store.devices import is_served
from nas_service.store.engine import now_moment, now_seconds
from nas_service.store.models import JobRow, StudyRow, TrialRow, WorkerRow, table

STUDY, TRIAL, WORKER, JOB = table(StudyRow), table(TrialRow), table(WorkerRow), table(JobRow)
ENDED = ("finished", "cancelled", "failed")
_built: dict[tuple[Any, ...], Select[Any]] = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a worker and its study when it asks."""

    # Seconds since it was last marked alive.
    age_s: float
    # The local devices on which it measures latency now; none where its machine is noisy.
    devices: tuple[str, ...]
    # Whether the study it was started for has ended.
    has_ended: bool
    # A running study whose minutes are up.
    overdue: int | None
    # A job that waits or has lost its worker, the oldest first.
    job: int | None


def look(connection: Connection, worker_id: int, study_id: int | None) -> Asked:
    """Return what there is to know before work is looked for; raises `LedgerRefused` for unknown ids."""
    statement = _once(connection, _head, "head")
    row = connection.execute(statement, {"worker": worker_id, "study": study_id}).one_or_none()
    if row is None:
        raise LedgerRefused(f"there is no worker {worker_id}; register first")
    if study_id is not None and row.state is None:
        raise LedgerRefused(f"there is no study {study_id}")
    own = [device for device in LOCAL_DEVICES if device != "cuda" or row.device.startswith("cuda")]
    devices = tuple(own) if row.noise is None else ()
    return Asked(row.age, devices, row.state in ENDED, row.overdue, row.job)


def claimable(
    connection: Connection, study_id: int | None, devices: tuple[str, ...], lost_after_s: float
) -> int | None:
    """Return an expired or waiting trial of a study that goes on, expired ones first."""
    statement = _once(connection, _claimable, "claimable", study_id is not None, devices)
    found = {"study": study_id, "lost_after": lost_after_s}
    return connection.execute(statement, found).scalar()


def open_study(
    connection: Connection, study_id: int | None, devices: tuple[str, ...], lost_after_s: float
) -> Any:
    """Return the row of the study with the fewest running trials among those with room in their budget."""
    statement = _once(connection, _open_study, "open", study_id is not None, devices)
    found = {"study": study_id, "lost_after": lost_after_s}
    return connection.execute(statement, found).mappings().one_or_none()


def is_claimable(connection: Connection) -> ColumnElement[bool]:
    """Return whether a trial waits, or has lost its worker."""
    expired = (TRIAL.c.state == "running") & (TRIAL.c.lease_expires_at < now_seconds(connection))
    return or_(expired, TRIAL.c.state == "waiting")


def _once(connection: Connection, build: Callable[..., Select[Any]], *key: Any) -> Select[Any]:
    whole = (connection.dialect.name, *key)
    statement = _built.get(whole)
    if statement is None:
        statement = _built[whole] = build(connection, *key[1:])
    return statement


def _head(connection: Connection) -> Select[Any]:
    state = select(STUDY.c.state).where(STUDY.c.id == bindparam("study", type_=STUDY.c.id.type))
    is_overdue = STUDY.c.deadline < now_moment(connection)
    overdue = select(STUDY.c.id).where(STUDY.c.state == "running", is_overdue).limit(1)
    return select(
        (now_seconds(connection) - WORKER.c.heartbeat_at).label("age"),
        WORKER.c.device,
        WORKER.c.noise,
        state.scalar_subquery().label("state"),
        overdue.scalar_subquery().label("overdue"),
        _open_job(connection).scalar_subquery().label("job"),
    ).where(WORKER.c.id == bindparam("worker"))


def _open_job(connection: Connection) -> Select[Any]:
    """Return the oldest job that the worker can do, of its study where it works for one alone."""
    study = bindparam("study", type_=STUDY.c.id.type)
    fits = or_(JOB.c.device.is_(None), WORKER.c.device.startswith(JOB.c.device))
    wanted = or_(study.is_(None), JOB.c.study_id == study)
    query = select(JOB.c.id).where(job_leases.is_open(connection), fits, wanted, ~WORKER.c.measures_only)
    return query.order_by(JOB.c.id).limit(1).correlate(WORKER)


def _claimable(connection: Connection, is_single: bool, devices: tuple[str, ...]) -> Select[Any]:
    goes_on = or_(
        STUDY.c.state.in_(("running", "draining")),
        (STUDY.c.state == "paused") & (TRIAL.c.state == "running"),
    )
    query = (
        select(TRIAL.c.id)
        .join(STUDY, STUDY.c.id == TRIAL.c.study_id)
        .where(is_claimable(connection), is_served(connection, devices, bindparam("lost_after")), goes_on)
        .order_by(case((TRIAL.c.state == "running", 0), else_=1), TRIAL.c.id)
        .limit(1)
    )
    return query.where(TRIAL.c.study_id == bindparam("study")) if is_single else query


def _open_study(connection: Connection, is_single: bool, devices: tuple[str, ...]) -> Select[Any]:
    query = (
        select(STUDY)
        .where(
            STUDY.c.state == "running",
            is_served(connection, devices, bindparam("lost_after")),
            STUDY.c.fruitless_in_a_row < STUDY.c.max_fruitless,
            budget.has_room(1),
        )
        .order_by(STUDY.c.running, STUDY.c.id)
        .limit(1)
    )
    return query.where(STUDY.c.id == bindparam("study")) if is_single else query
