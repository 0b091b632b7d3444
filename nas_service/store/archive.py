"""Reading a study whole, a batch at a time, for files that leave the service."""

from typing import Any

from sqlalchemy import Connection, select

from nas_service.store.models import EpochRow, ForbiddenRow, RepeatRow, TrialRow, table
from nas_service.store.rows import TRIAL_COLUMNS, trial_from
from nas_service.trials import Trial

TRIAL, REPEAT, FORBIDDEN, EPOCH = (table(row) for row in (TrialRow, RepeatRow, ForbiddenRow, EpochRow))
TRIALS_A_BATCH = 500
_CURVE = ("epoch", "attempt", "train_loss", "validation_loss", "accuracy", "seconds", "arrival")


def read_batch(connection: Connection, study_id: int, begin: int) -> list[Trial]:
    """Return the trials of the next numbers from `begin` on, at most a batch; none behind the last."""
    is_next = (TRIAL.c.study_id == study_id) & (TRIAL.c.number >= begin)
    query = select(*TRIAL_COLUMNS).where(is_next).order_by(TRIAL.c.number).limit(TRIALS_A_BATCH)
    return [trial_from(row) for row in connection.execute(query).mappings()]


def read_curves(connection: Connection, trial_ids: list[int]) -> list[dict[str, Any]]:
    """Return the epochs of some trials, each with its trial's id."""
    columns = (EPOCH.c.trial_id, *(EPOCH.c[name] for name in _CURVE))
    query = select(*columns).where(EPOCH.c.trial_id.in_(trial_ids))
    return [dict(row) for row in connection.execute(query.order_by(*columns[:2])).mappings()]


def read_untried(connection: Connection, study_id: int) -> list[dict[str, Any]]:
    """Return the proposals that became no trial: repeats of known ones, and what the space forbids."""
    shared = ("ordinal", "space_version", "params")
    repeats = select(*(REPEAT.c[name] for name in shared), REPEAT.c.trial_id).where(
        REPEAT.c.study_id == study_id
    )
    banned = select(*(FORBIDDEN.c[name] for name in shared), FORBIDDEN.c.rule)
    banned = banned.where(FORBIDDEN.c.study_id == study_id)
    return [
        *({"became": "repeat", **row} for row in connection.execute(repeats).mappings()),
        *({"became": "forbidden", **row} for row in connection.execute(banned).mappings()),
    ]
