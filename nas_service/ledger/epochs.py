"""Learning curves, and what an epoch's report tells of its trial beside them."""

from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.ledger import takeover
from nas_service.store.models import EpochRow, TrialRow, table
from nas_service.trials import EpochReport, Lease

TRIAL, EPOCH = table(TrialRow), table(EpochRow)


def store(connection: Connection, lease: Lease, report: EpochReport) -> None:
    """Write an epoch, over that of an earlier attempt if there is one; the caller holds the lease."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    figures = report.model_dump(exclude={"metrics", "latency", "resumed_from"})
    values = {"trial_id": lease.trial_id, "attempt": lease.attempt, **figures}
    updated = {name: value for name, value in values.items() if name not in ("trial_id", "epoch")}
    statement = dialect.insert(EPOCH).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["trial_id", "epoch"], set_=updated))
    _tell_of_trial(connection, lease, report)


def _tell_of_trial(connection: Connection, lease: Lease, report: EpochReport) -> None:
    if not report.metrics and report.latency is None and report.resumed_from is None:
        return
    is_it = TRIAL.c.id == lease.trial_id
    known = connection.execute(select(TRIAL.c.metrics, TRIAL.c.reason).where(is_it)).one()
    values: dict[str, Any] = {"metrics": {**known.metrics, **report.metrics}}
    if report.latency is not None:
        values["latency"] = report.latency
    if report.resumed_from is not None:
        values["reason"] = takeover.resumed(known.reason, report.resumed_from)
    connection.execute(update(TRIAL).where(is_it).values(values))
