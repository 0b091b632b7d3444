"""Reads of trials and their learning curves."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from nas_service.store.models import EpochRow, TrialRow, table
from nas_service.store.rows import TRIAL_COLUMNS, trial_from
from nas_service.trials import Trial, TrialState
from nas_service.views import CurvePoint, TrialSpan

TRIAL, EPOCH = table(TrialRow), table(EpochRow)
# What lists show of a trial; the rest of a row is ten times as large.
LISTED_COLUMNS = tuple(
    TRIAL.c[name]
    for name in (
        "id",
        "study_id",
        "number",
        "state",
        "reason",
        "space_version",
        "arm",
        "excluded",
        "metrics",
        "violations",
        "latency",
        "worker",
        "attempt",
        "finished_at",
        "architecture_hash",
    )
)
NUMBERS_A_STATEMENT = 500
_ONE_TRIAL = select(*TRIAL_COLUMNS).where(TRIAL.c.id == bindparam("wanted"))
_NUMBERED = select(*TRIAL_COLUMNS).where(
    TRIAL.c.study_id == bindparam("wanted"), TRIAL.c.number == bindparam("number")
)


def read_page(
    connection: Connection,
    study_id: int,
    *,
    state: TrialState | None,
    newest_first: bool,
    behind: int | None,
    limit: int,
) -> list[RowMapping]:
    """Return what lists show of trials, by number.

    Args:
        connection: Reads the trials.
        study_id: Whose trials.
        state: Only trials in this state.
        newest_first: From the highest number down.
        behind: The number behind which to begin.
        limit: At most so many.
    """
    query = select(*LISTED_COLUMNS).where(TRIAL.c.study_id == study_id).limit(limit)
    query = query.where(TRIAL.c.state == state) if state else query
    if behind is not None:
        query = query.where(TRIAL.c.number < behind if newest_first else TRIAL.c.number > behind)
    query = query.order_by(TRIAL.c.number.desc() if newest_first else TRIAL.c.number)
    return list(connection.execute(query).mappings())


def read_numbers(
    connection: Connection, study_id: int, numbers: Sequence[int], *, state: TrialState | None = None
) -> list[RowMapping]:
    """Return what lists show of the trials of some numbers, in their order.

    Those that do not exist or are in another state are left out.
    """
    found: dict[int, RowMapping] = {}
    query = select(*LISTED_COLUMNS).where(TRIAL.c.study_id == study_id)
    query = query.where(TRIAL.c.state == state) if state else query
    for begin in range(0, len(numbers), NUMBERS_A_STATEMENT):
        chosen = query.where(TRIAL.c.number.in_(numbers[begin : begin + NUMBERS_A_STATEMENT]))
        found |= {row["number"]: row for row in connection.execute(chosen).mappings()}
    return [found[number] for number in numbers if number in found]


def read_listed(connection: Connection, trial_ids: Sequence[int]) -> list[RowMapping]:
    """Return what lists show of the trials of some ids, by number."""
    found: list[RowMapping] = []
    for begin in range(0, len(trial_ids), NUMBERS_A_STATEMENT):
        chosen = TRIAL.c.id.in_(trial_ids[begin : begin + NUMBERS_A_STATEMENT])
        found += connection.execute(select(*LISTED_COLUMNS).where(chosen)).mappings()
    return sorted(found, key=lambda row: int(row["number"]))


def read_architectures(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the networks of some trials by trial id."""
    found: dict[int, dict[str, Any]] = {}
    for begin in range(0, len(trial_ids), NUMBERS_A_STATEMENT):
        chosen = TRIAL.c.id.in_(trial_ids[begin : begin + NUMBERS_A_STATEMENT])
        rows = connection.execute(select(TRIAL.c.id, TRIAL.c.architecture).where(chosen))
        found |= {row.id: row.architecture for row in rows}
    return found


def read_trial(connection: Connection, trial_id: int) -> Trial | None:
    """Return the trial of an id."""
    row = connection.execute(_ONE_TRIAL, {"wanted": trial_id}).mappings().one_or_none()
    return trial_from(row) if row else None


def read_numbered(connection: Connection, study_id: int, number: int) -> Trial | None:
    """Return a study's trial of a number."""
    values = {"wanted": study_id, "number": number}
    row = connection.execute(_NUMBERED, values).mappings().one_or_none()
    return trial_from(row) if row else None


def read_curve(connection: Connection, trial_id: int) -> list[CurvePoint]:
    """Return a trial's learning curve."""
    query = select(EPOCH).where(EPOCH.c.trial_id == trial_id).order_by(EPOCH.c.epoch)
    names = CurvePoint.model_fields
    return [CurvePoint(**{name: row[name] for name in names}) for row in connection.execute(query).mappings()]


def read_curves(connection: Connection, trial_ids: Sequence[int]) -> dict[int, list[CurvePoint]]:
    """Return the learning curves of a few trials by trial id."""
    query = select(EPOCH).where(EPOCH.c.trial_id.in_(trial_ids)).order_by(EPOCH.c.trial_id, EPOCH.c.epoch)
    names = CurvePoint.model_fields
    found: dict[int, list[CurvePoint]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["trial_id"], []).append(CurvePoint(**{name: row[name] for name in names}))
    return found


def read_spans(connection: Connection, study_id: int, limit: int) -> list[TrialSpan]:
    """Return the trials that workers held, those of the highest numbers, rising."""
    names = TrialSpan.model_fields
    held = TRIAL.c.worker.is_not(None) & TRIAL.c.started_at.is_not(None)
    query = select(*(TRIAL.c[name] for name in names)).where(TRIAL.c.study_id == study_id, held)
    rows = connection.execute(query.order_by(TRIAL.c.number.desc()).limit(limit)).mappings()
    return [TrialSpan(**row) for row in rows][::-1]
