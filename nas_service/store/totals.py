"""Totals over all studies, each from counters or an index: cheap however many trials there are."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from sqlalchemy import ColumnElement, Connection, Engine, case, func, select

from nas_service.measurements import MeasurementState
from nas_service.store.engine import now_seconds, reading
from nas_service.store.models import EventRow, MeasurementRequestRow, StudyRow, TrialRow, WorkerRow, table
from nas_service.studies import StudyState
from nas_service.trials import TrialState

STUDY, TRIAL, WORKER = table(StudyRow), table(TrialRow), table(WorkerRow)
EVENT, REQUEST = table(EventRow), table(MeasurementRequestRow)
# PostgreSQL may show an event before one of a lower number: what is younger is counted next time.
SETTLE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts by state; each state is there, with 0 where nothing is in it."""

    studies: dict[str, int]
    trials: dict[str, int]
    # "repeat" and "forbidden".
    proposals: dict[str, int]
    # "alive", "lost" and "stopped".
    workers: dict[str, int]
    # "held" and "expired".
    leases: dict[str, int]
    measurements: dict[str, int]
    # Trials begun again since counting began.
    takeovers: int


class Counts:
    """Reads totals; what can only be counted on is counted from the first look.

    Args:
        engine: The database.
        lost_after_s: A worker not heard of for so long is lost.
    """

    def __init__(self, engine: Engine, lost_after_s: float) -> None:
        self._engine = engine
        self._lost_after_s = lost_after_s
        self._takeovers = 0
        # The newest event that was counted, once there was a first look.
        self._counted: int | None = None
        self._counting = threading.Lock()

    def read(self) -> Totals:
        """Return the present totals; raises SQLAlchemy's errors where the database is away."""
        with self._counting, reading(self._engine) as connection:
            trials, proposals = _trials(connection)
            return Totals(
                studies=_by_state(connection, STUDY.c.state, get_args(StudyState)),
                trials=trials,
                proposals=proposals,
                workers=_workers(connection, self._lost_after_s),
                leases=_leases(connection),
                measurements=_by_state(connection, REQUEST.c.state, get_args(MeasurementState)),
                takeovers=self._count_takeovers(connection),
            )

    def _count_takeovers(self, connection: Connection) -> int:
        settled = EVENT.c.at < datetime.now(UTC) - SETTLE
        newest = select(func.max(EVENT.c.sequence))
        if self._counted is None:
            self._counted = connection.execute(newest).scalar() or 0
            return 0
        newer = EVENT.c.sequence > self._counted
        upto = connection.execute(newest.where(newer, settled)).scalar()
        if upto is None:
            return self._takeovers
        again = (EVENT.c.kind == "trial.started") & (EVENT.c.data["attempt"].as_integer() > 1)
        counted = select(func.count()).select_from(EVENT).where(newer, EVENT.c.sequence <= upto, again)
        self._takeovers += connection.execute(counted).scalar_one()
        self._counted = upto
        return self._takeovers


def _by_state(connection: Connection, state: ColumnElement[str], states: tuple[str, ...]) -> dict[str, int]:
    counts = connection.execute(select(state, func.count()).group_by(state)).all()
    return {**dict.fromkeys(states, 0), **{row[0]: row[1] for row in counts}}


def _trials(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Return the sums of the counters that each study's row keeps."""
    names = (*get_args(TrialState), "repeats", "forbidden")
    sums = [func.coalesce(func.sum(STUDY.c[name]), 0).label(name) for name in names]
    row = connection.execute(select(*sums)).mappings().one()
    return (
        {state: int(row[state]) for state in get_args(TrialState)},
        {"repeat": int(row["repeats"]), "forbidden": int(row["forbidden"])},
    )


def _workers(connection: Connection, lost_after_s: float) -> dict[str, int]:
    is_lost = WORKER.c.heartbeat_at < now_seconds(connection) - lost_after_s
    state = case((WORKER.c.has_left, "stopped"), (is_lost, "lost"), else_="alive")
    return _by_state(connection, state, ("alive", "lost", "stopped"))


def _leases(connection: Connection) -> dict[str, int]:
    is_expired = TRIAL.c.lease_expires_at < now_seconds(connection)
    state = case((is_expired, "expired"), else_="held")
    counts = connection.execute(
        select(state, func.count()).where(TRIAL.c.state == "running").group_by(state)
    ).all()
    return {"held": 0, "expired": 0, **{row[0]: row[1] for row in counts}}
