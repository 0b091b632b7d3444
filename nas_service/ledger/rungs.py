"""Whether a candidate goes on past a rung, from the rows of all of its arm who reached it."""

from typing import Any

from sqlalchemy import Connection, or_, select

from nas_service.early_stopping import RungEntry, decide
from nas_service.metrics import METRICS, QUALITIES
from nas_service.store.models import EpochRow, TrialRow, table
from nas_service.studies import StudySpec

TRIAL, EPOCH = table(TrialRow), table(EpochRow)


def goes_on(connection: Connection, study_id: int, spec: StudySpec, trial_id: int, epoch: int) -> bool:
    """Decide for one trial at a rung; a trial without a finite quality does not go on.

    The control arm is compared with itself alone, so that it ends as it would without a sampler beside it.
    One that the newest space excludes is ranked against those that count, and counts for nobody else.
    """
    counts = or_(TRIAL.c.excluded.is_(None), TRIAL.c.id == trial_id)
    is_random = TRIAL.c.arm == "random"
    own = select(is_random).where(TRIAL.c.id == trial_id).scalar_subquery()
    query = (
        select(TRIAL.c.id, TRIAL.c.metrics, EPOCH.c.accuracy)
        .join(EPOCH, EPOCH.c.trial_id == TRIAL.c.id)
        .where(TRIAL.c.study_id == study_id, EPOCH.c.epoch == epoch, EPOCH.c.accuracy.is_not(None))
        .where(counts, is_random == own)
    )
    entries = {row.id: RungEntry(row.id, _values(spec, row)) for row in connection.execute(query)}
    candidate = entries.pop(trial_id, None)
    if candidate is None:
        return False
    return decide(candidate, list(entries.values()), spec.training.reduction_factor)


def _values(spec: StudySpec, row: Any) -> tuple[float, ...]:
    """Return the objectives at the rung, all to be minimised.

    Accuracy stands in if none is a quality, and for qualities that are only known at the end of a trial.
    """
    objectives = {objective.metric: objective.direction for objective in spec.objectives}
    if not QUALITIES & objectives.keys():
        objectives["accuracy"] = "max"
    figures = {**row.metrics, **dict.fromkeys(QUALITIES, row.accuracy), "error": 1.0 - row.accuracy}
    signs = {"max": -1.0, "min": 1.0}
    return tuple(
        signs[direction] * figures.get(name, METRICS[name].worst) for name, direction in objectives.items()
    )
