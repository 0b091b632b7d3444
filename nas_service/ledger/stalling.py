"""Whether a search still pays: how much hypervolume the last trained candidates have added."""

import numpy as np
from sqlalchemy import Connection, select

from nas_service.front import hypervolume
from nas_service.progress import reference_point
from nas_service.store.models import TrialRow, table
from nas_service.studies import StudySpec

TRIAL = table(TrialRow)
TRAINED = ("complete", "pruned", "failed")


def why_stalled(connection: Connection, study_id: int, spec: StudySpec) -> str | None:
    """Return why a study is to end by its `budget.stall`; None where it goes on, or has no such rule.

    The trained candidates are taken in the order in which they ended, by the rows as they stand, so the same
    rows give the same answer whoever asks. Both hypervolumes have one reference point, that of the front.
    """
    rule = spec.budget.stall
    if rule is None:
        return None
    columns = (TRIAL.c.state, TRIAL.c.metrics, TRIAL.c.violations, TRIAL.c.excluded)
    is_trained = (TRIAL.c.study_id == study_id) & TRIAL.c.state.in_(TRAINED)
    query = select(*columns).where(is_trained).order_by(TRIAL.c.finished_at, TRIAL.c.number)
    rows = connection.execute(query).all()
    if len(rows) < rule.trials:
        return None
    names = [objective.metric for objective in spec.objectives]
    worthy = [
        row.state == "complete"
        and row.excluded is None
        and all(excess <= 0 for excess in row.violations.values())
        for row in rows
    ]
    if not any(worthy):
        return f"none of the {len(rows)} trained candidates could enter the front; their pages say why"
    figures = [[row.metrics.get(name, np.nan) for name in names] for row in rows]
    values = np.array(figures, np.float64)[worthy]
    earlier = sum(worthy[: -rule.trials])
    directions = [objective.direction for objective in spec.objectives]
    reference = reference_point(spec.objectives, spec, values)
    before, now = (hypervolume(part, list(reference), directions) for part in (values[:earlier], values))
    if now > before * (1 + rule.gain):
        return None
    return f"no hypervolume gain above {rule.gain:.3g} in the last {rule.trials} trials"
