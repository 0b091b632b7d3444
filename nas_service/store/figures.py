"""Reading what changed of a study's trials: figures alone, a tenth of what a row holds."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, RowMapping, Text, cast, extract, func, or_, select
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

from nas_service.columns import Batch, Columns
from nas_service.store.models import TrialRow, table

TRIAL = table(TrialRow)
ROWS_A_STATEMENT = 5000
ENDED = func.coalesce(TRIAL.c.finished_at, TRIAL.c.created_at)


def refreshed(connection: Connection, study: RowMapping, known: Columns) -> Columns:
    """Return the columns of a study as its row says they must be.

    What changes meanwhile is read again at the next call: revisions become visible in their order.

    Args:
        connection: Reads the trials.
        study: The study's row, read before.
        known: What an earlier call returned.
    """
    is_ours, count = TRIAL.c.study_id == study["id"], study["next_number"]
    if not len(known):
        return known.changed(study["revision"], _all(connection, is_ours, count))
    # The latency of a running trial is written without a revision of its own. Each side has an index.
    is_news = or_(is_ours & (TRIAL.c.revision > known.revision), is_ours & (TRIAL.c.state == "running"))
    return known.changed(study["revision"], [_batch(connection, is_news & (TRIAL.c.number < count))])


def _all(connection: Connection, is_ours: ColumnElement[bool], count: int) -> Iterator[Batch]:
    for begin in range(0, count, ROWS_A_STATEMENT):
        end = min(count, begin + ROWS_A_STATEMENT)
        yield _batch(connection, is_ours & (TRIAL.c.number >= begin) & (TRIAL.c.number < end))


def _batch(connection: Connection, condition: ColumnElement[bool]) -> Batch:
    is_excluded = TRIAL.c.excluded.is_not(None)
    # As text, for many are parsed at once.
    documents = (cast(TRIAL.c.metrics, Text), cast(TRIAL.c.violations, Text))
    who = (TRIAL.c.number, TRIAL.c.id, TRIAL.c.state, is_excluded, TRIAL.c.arm)
    rows = connection.execute(select(*who, _moment(connection), *documents).where(condition)).all()
    columns = zip(*rows, strict=True) if rows else [()] * 8
    numbers, ids, states, excluded, arms, ended, metrics, violations = columns
    return Batch(
        numbers=list(numbers),
        ids=list(ids),
        states=list(states),
        feasible=[max(broken.values(), default=0.0) <= 0 for broken in _parsed(violations)],
        excluded=list(excluded),
        arms=list(arms),
        finished=_microseconds(ended),
        metrics=_parsed(metrics),
    )


def _moment(connection: Connection) -> ColumnElement[Any]:
    """Return when a trial ended: text on SQLite, seconds since 1970 on PostgreSQL."""
    if connection.dialect.name == "sqlite":
        return cast(ENDED, Text)
    return cast(extract("epoch", ENDED), DOUBLE_PRECISION)


def _microseconds(moments: tuple[Any, ...]) -> NDArray[np.float64]:
    if moments and isinstance(moments[0], str):
        return np.array(moments, "datetime64[us]").astype(np.int64).astype(np.float64)
    return np.round(np.array(moments, np.float64) * 1e6)


def _parsed(texts: tuple[str, ...]) -> list[dict[str, float]]:
    parsed: list[dict[str, float]] = json.loads(f"[{','.join(texts)}]")
    return parsed
