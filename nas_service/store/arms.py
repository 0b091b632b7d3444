"""Reading what each arm of a study trained."""

from sqlalchemy import Connection, select

from nas_service.arms import Ended
from nas_service.constraints import is_kept
from nas_service.ledger.budget import TRAINED
from nas_service.ledger.endings import reported_epochs
from nas_service.store.models import TrialRow, table

TRIAL = table(TrialRow)


def read_ended(connection: Connection, study_id: int) -> list[Ended]:
    """Return all candidates that were trained, in the order in which they ended."""
    columns = (TRIAL.c.arm, TRIAL.c.state, TRIAL.c.excluded, TRIAL.c.metrics, TRIAL.c.violations)
    query = select(*columns, TRIAL.c.timings, reported_epochs())
    is_trained = (TRIAL.c.study_id == study_id) & TRIAL.c.state.in_(TRAINED)
    return [
        Ended(
            arm=row.arm,
            epochs=max(row.epochs, int(row.timings.get("trained_epochs", 0))),
            is_worthy=row.state == "complete" and row.excluded is None and is_kept(row.violations),
            metrics=row.metrics,
        )
        for row in connection.execute(query.where(is_trained).order_by(TRIAL.c.finished_at, TRIAL.c.number))
    ]
