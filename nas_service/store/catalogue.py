"""Data sets, workers and tokens."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, text

from nas_service.datasets import DatasetSummary
from nas_service.errors import Conflict, NotFound, no_such
from nas_service.store.engine import now_seconds
from nas_service.store.models import DatasetRow, JobRow, StudyRow, TrialRow, WorkerRow, table
from nas_service.views import DatasetUse, DatasetView, WorkerState, WorkerView

ENDED_IN_VAIN = ("failed", "cancelled")
DATASET, JOB, STUDY, TRIAL, WORKER = map(table, (DatasetRow, JobRow, StudyRow, TrialRow, WorkerRow))


def read_datasets(connection: Connection) -> list[DatasetView]:
    """Return all registered data sets by name."""
    rows = connection.execute(select(DATASET).order_by(DATASET.c.name)).mappings()
    return [_dataset_view(row) for row in rows]


def read_dataset(connection: Connection, name: str) -> DatasetView | None:
    """Return the data set of a name."""
    row = connection.execute(select(DATASET).where(DATASET.c.name == name)).mappings().one_or_none()
    return _dataset_view(row) if row else None


def insert_dataset(connection: Connection, dataset: DatasetSummary, sha256: str) -> DatasetView:
    """Register a data set; the same data again is harmless, other data under a known name a `Conflict`."""
    known = _same_dataset(connection, dataset.name, sha256)
    if known is not None:
        return known
    insertion = insert(DatasetRow).values(_dataset_values(dataset, sha256))
    return _dataset_view(connection.execute(insertion.returning(*DATASET.c)).mappings().one())


def as_if_inserted(connection: Connection, dataset: DatasetSummary, sha256: str) -> DatasetView:
    """Return what `insert_dataset` would, or raise what it would, and leave nothing behind."""
    known = _same_dataset(connection, dataset.name, sha256)
    return known or DatasetView(**_dataset_values(dataset, sha256))


def _same_dataset(connection: Connection, name: str, sha256: str) -> DatasetView | None:
    known = read_dataset(connection, name)
    if known is not None and known.sha256 != sha256:
        raise Conflict(f"the name {name!r} belongs to other data; choose another name")
    return known


def _dataset_values(dataset: DatasetSummary, sha256: str) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "sha256": sha256,
        "input_shape": list(dataset.input_shape),
        "classes": len(dataset.class_names),
        "class_names": list(dataset.class_names),
        "train_examples": dataset.train_examples,
        "test_examples": dataset.test_examples,
        "created_at": datetime.now(UTC),
    }


def studies_on(connection: Connection, name: str, limit: int) -> list[DatasetUse]:
    """Return the studies that name a data set, the newest first."""
    query = select(STUDY.c.id, STUDY.c.name, STUDY.c.state).order_by(STUDY.c.id.desc()).limit(limit)
    rows = connection.execute(query.where(STUDY.c.spec["dataset"].as_string() == name))
    return [DatasetUse(study=row.id, name=row.name, state=row.state) for row in rows]


def hold_dataset(connection: Connection, name: str) -> None:
    """Keep a data set from being deleted until the transaction ends; raises `NotFound` where it is gone."""
    held = select(DATASET.c.name).where(DATASET.c.name == name).with_for_update(read=True)
    if connection.execute(held).one_or_none() is None:
        raise NotFound(f"the data set {name[:60]!r} was deleted meanwhile")


def delete_dataset(connection: Connection, name: str) -> str | None:
    """Delete a data set that no study names; return the sha256 of its file if nothing else refers to it.

    Whoever registers data waits on PostgreSQL until this transaction ends, as everybody does on SQLite, so
    that the file may be deleted within it.

    Raises:
        Conflict: A study uses it; nothing is deleted.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE datasets IN SHARE ROW EXCLUSIVE MODE"))
    gone = delete(DATASET).where(DATASET.c.name == name).returning(DATASET.c.sha256)
    sha256 = connection.execute(gone).scalar_one_or_none()
    if sha256 is None:
        raise no_such("data set", name)
    # Looked for after the row is gone: a study that is being launched holds it until it can be seen.
    if used := studies_on(connection, name, limit=1):
        raise Conflict(f"study {used[0].study} ({used[0].name}) uses the data set {name!r}; delete it first")
    same = select(DATASET.c.name).where(DATASET.c.sha256 == sha256)
    of_studies = select(STUDY.c.id).where(STUDY.c.dataset_sha256 == sha256)
    if any(connection.execute(query.limit(1)).first() for query in (same, of_studies)):
        return None
    # An export verifies a retrained network on what it was retrained with, however long ago that was.
    retrains = (JOB.c.payload["dataset_sha256"].as_string() == sha256) & JOB.c.state.not_in(ENDED_IN_VAIN)
    if job := connection.execute(select(JOB.c.id, JOB.c.study_id).where(retrains).limit(1)).first():
        raise Conflict(
            f"job {job.id} of study {job.study_id} retrains on the data set {name!r}; delete that study first"
        )
    return str(sha256)


def read_workers(connection: Connection, lost_after_s: float) -> list[WorkerView]:
    """Return all workers; one not heard of for `lost_after_s` seconds is lost."""
    statement = _built.get(connection.dialect.name)
    if statement is None:
        statement = _built[connection.dialect.name] = _workers_statement(connection)
    return [_worker_view(row, lost_after_s) for row in connection.execute(statement).mappings()]


# By dialect: nearly every read asks for the workers, and putting the statement together costs as much as it.
_built: dict[str, Select[Any]] = {}


def _workers_statement(connection: Connection) -> Select[Any]:
    """Return the statement that reads each worker with its age in seconds and the trial and job it runs."""
    age = (now_seconds(connection) - WORKER.c.heartbeat_at).label("age")
    trial, job = (
        select(held.c.worker_id, func.max(held.c.id).label("id"))
        .where(held.c.state == "running")
        .group_by(held.c.worker_id)
        .subquery(name)
        for held, name in ((TRIAL, "held_trials"), (JOB, "held_jobs"))
    )
    holding = WORKER.outerjoin(trial, trial.c.worker_id == WORKER.c.id)
    holding = holding.outerjoin(job, job.c.worker_id == WORKER.c.id)
    held = (trial.c.id.label("held_trial"), job.c.id.label("held_job"))
    return select(WORKER, age, *held).select_from(holding).order_by(WORKER.c.id)


def _dataset_view(row: RowMapping) -> DatasetView:
    return DatasetView(**row)


def _worker_view(row: RowMapping, lost_after_s: float) -> WorkerView:
    trial, job = row["held_trial"], row["held_job"]
    is_lost = row["age"] > lost_after_s
    working: WorkerState = "idle" if trial is None and job is None else "running"
    is_gone = row["has_left"] or is_lost
    alive = "lost" if is_lost else "draining" if row["is_draining"] else working
    return WorkerView(
        id=row["id"],
        name=row["name"],
        host=row["host"],
        pid=row["pid"],
        device=row["device"],
        state="stopped" if row["has_left"] else alive,
        trial=None if is_gone else trial,
        job=None if is_gone else job,
        heartbeat_at=datetime.fromtimestamp(row["heartbeat_at"], UTC),
        started_at=row["started_at"],
        versions=row["versions"],
        measures_only=row["measures_only"],
        noise=row["noise"],
    )


def trained_work(connection: Connection, limit: int) -> list[tuple[float, float, float]]:
    """Return (macs, examples trained, seconds) of the latest trained trials."""
    query = (
        select(TRIAL.c.metrics, TRIAL.c.timings)
        .where(TRIAL.c.state.in_(("complete", "pruned")))
        .order_by(TRIAL.c.id.desc())
        .limit(limit)
    )
    return [
        (row.metrics["macs"], row.timings["trained_examples"], row.timings["training_s"])
        for row in connection.execute(query)
        if {"trained_examples", "training_s"} <= row.timings.keys() and "macs" in row.metrics
    ]
