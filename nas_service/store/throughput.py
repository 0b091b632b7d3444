"""How much each worker got done lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from nas_service.store.models import EpochRow, TrialRow, WorkerRow, table

TRIAL, EPOCH, WORKER = table(TrialRow), table(EpochRow), table(WorkerRow)
LATELY = timedelta(hours=1)
# Only the newest trials are looked at, for there is no index by the time of their end.
NEWEST = 3000
# A worker that has just started would be said to do thousands an hour.
SHORTEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Trials that were trained and ended in the last hour, and their epochs, as rates an hour."""

    trials: float
    epochs: float


def recent_throughput(connection: Connection, now: datetime | None = None) -> Mapping[int, Throughput]:
    """Return the rates of workers by id; one that ended nothing lately is missing.

    A worker that started within the hour is rated over the time since.
    """
    now = now or datetime.now(UTC)
    newest = select(func.coalesce(func.max(TRIAL.c.id), 0) - NEWEST).scalar_subquery()
    epochs = select(func.count()).where(EPOCH.c.trial_id == TRIAL.c.id).correlate(TRIAL).scalar_subquery()
    ended = (
        select(TRIAL.c.worker_id, WORKER.c.started_at, epochs.label("epochs"))
        .join(WORKER, WORKER.c.id == TRIAL.c.worker_id)
        .where(
            TRIAL.c.id > newest,
            TRIAL.c.state.in_(("complete", "pruned", "failed")),
            TRIAL.c.finished_at > now - LATELY,
        )
    )
    found: dict[int, Throughput] = {}
    for row in connection.execute(ended):
        hours = min(LATELY, max(now - row.started_at, timedelta(seconds=SHORTEST_S))) / LATELY
        known = found.get(row.worker_id, Throughput(0.0, 0.0))
        found[row.worker_id] = Throughput(known.trials + 1 / hours, known.epochs + row.epochs / hours)
    return found
