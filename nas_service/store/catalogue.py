"""Data sets, workers and tokens."""

from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, insert, select

from nas_service.datasets import DatasetSummary
from nas_service.errors import Conflict
from nas_service.store.engine import now_seconds
from nas_service.store.models import DatasetRow, JobRow, TrialRow, WorkerRow, table
from nas_service.views import DatasetView, WorkerState, WorkerView

DATASET, WORKER, TRIAL = table(DatasetRow), table(WorkerRow), table(TrialRow)
JOB = table(JobRow)


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
    known = read_dataset(connection, dataset.name)
    if known is not None:
        if known.sha256 != sha256:
            raise Conflict(f"the name {dataset.name!r} belongs to other data; choose another name")
        return known
    values = {
        "name": dataset.name,
        "sha256": sha256,
        "input_shape": list(dataset.input_shape),
        "classes": len(dataset.class_names),
        "class_names": list(dataset.class_names),
        "train_examples": dataset.train_examples,
        "test_examples": dataset.test_examples,
        "created_at": datetime.now(UTC),
    }
    row = connection.execute(insert(DatasetRow).values(values).returning(*DATASET.c)).mappings().one()
    return _dataset_view(row)


def read_workers(connection: Connection, lost_after_s: float) -> list[WorkerView]:
    """Return all workers; one not heard of for `lost_after_s` seconds is lost."""
    age = (now_seconds(connection) - WORKER.c.heartbeat_at).label("age")
    trials, jobs = (
        {
            row.worker_id: row.id
            for row in connection.execute(
                select(held.c.worker_id, held.c.id).where(held.c.state == "running")
            )
        }
        for held in (TRIAL, JOB)
    )
    rows = connection.execute(select(WORKER, age).order_by(WORKER.c.id)).mappings()
    return [_worker_view(row, trials.get(row["id"]), jobs.get(row["id"]), lost_after_s) for row in rows]


def _dataset_view(row: RowMapping) -> DatasetView:
    return DatasetView(**row)


def _worker_view(row: RowMapping, trial: int | None, job: int | None, lost_after_s: float) -> WorkerView:
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
