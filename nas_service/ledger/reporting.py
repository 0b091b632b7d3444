"""An epoch's report in one statement, for PostgreSQL: what workers send most often.

Lease, learning curve and event are one round trip and one commit instead of six round trips.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, Text, bindparam, cast, select, update
from sqlalchemy.dialects.postgresql import insert

from nas_service.store.engine import now_moment, now_seconds
from nas_service.store.models import EpochRow, EventRow, StudyRow, TrialRow, table
from nas_service.store.specs import spec_of
from nas_service.studies import StudySpec
from nas_service.trials import EpochReport, Lease

STUDY, TRIAL, EPOCH, EVENT = table(StudyRow), table(TrialRow), table(EpochRow), table(EventRow)
FIGURES = ("epoch", "train_loss", "validation_loss", "accuracy", "seconds")


@dataclass(frozen=True, slots=True)
class BoundLease:
    """A lease whose values come when the statement runs."""

    trial_id: BindParameter[int]
    attempt: BindParameter[int]
    worker_id: BindParameter[int]


# Whether a trial is still held under a lease: the guard of every write.
Guard = Callable[[Any], ColumnElement[bool]]
_built: dict[Guard, Select[Any]] = {}


def is_plain(report: EpochReport) -> bool:
    """Whether a report has figures of its epoch alone."""
    return not report.model_dump(exclude=set(FIGURES), exclude_defaults=True)


def store(
    connection: Connection, lease: Lease, report: EpochReport, guard: Guard, lease_s: float
) -> tuple[int, StudySpec] | None:
    """Extend the lease, store a plain report with its event, and return the study and its spec.

    Args:
        connection: On PostgreSQL; the statement is a transaction where none is open.
        lease: The trial's.
        report: Of one epoch.
        guard: The condition under which the lease holds; None is returned, and nothing written, without it.
        lease_s: For how long the lease is extended.
    """
    statement = _built.get(guard)
    if statement is None:
        statement = _built[guard] = _statement(connection, guard)
    data = {"trial": lease.trial_id, "epoch": report.epoch, "accuracy": report.accuracy}
    values = {
        "b_trial": lease.trial_id,
        "b_attempt": lease.attempt,
        "b_worker": lease.worker_id,
        "b_lease_s": lease_s,
        "b_data": data,
        **{f"b_{name}": getattr(report, name) for name in FIGURES},
    }
    row = connection.execute(statement, values).one_or_none()
    return None if row is None else (row.study_id, spec_of(row.spec))


def _statement(connection: Connection, guard: Guard) -> Select[Any]:
    lease = BoundLease(bindparam("b_trial"), bindparam("b_attempt"), bindparam("b_worker"))
    until = now_seconds(connection) + bindparam("b_lease_s")
    extended = update(TRIAL).where(guard(lease)).values(lease_expires_at=until)
    held = extended.returning(TRIAL.c.id, TRIAL.c.study_id).cte("held")
    figures = {name: bindparam(f"b_{name}", type_=EPOCH.c[name].type) for name in FIGURES}
    attempt = bindparam("b_attempt", type_=EPOCH.c.attempt.type)
    epochs = insert(EPOCH).from_select(
        ["trial_id", "attempt", *FIGURES], select(held.c.id, attempt, *figures.values())
    )
    updated = {name: epochs.excluded[name] for name in ("attempt", *FIGURES[1:])}
    stored = epochs.on_conflict_do_update(index_elements=["trial_id", "epoch"], set_=updated)
    kind = bindparam("b_kind", "trial.epoch", type_=EVENT.c.kind.type)
    data = bindparam("b_data", type_=EVENT.c.data.type)
    event = select(held.c.study_id, kind, now_moment(connection), data)
    told = insert(EVENT).from_select(["study_id", "kind", "at", "data"], event)
    spec = cast(STUDY.c.spec, Text).label("spec")
    answer = select(held.c.study_id, spec).join(STUDY, STUDY.c.id == held.c.study_id)
    return answer.add_cte(stored.cte("stored"), told.cte("told"))
