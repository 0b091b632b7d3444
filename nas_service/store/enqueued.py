"""Architectures that are trained because somebody named them, not because a sampler proposed them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from nas_service.crash_points import crash_point
from nas_service.errors import Conflict, FieldError, InvalidInput
from nas_service.ledger import budget
from nas_service.store import events
from nas_service.store.models import StudyRow, TrialRow, table
from nas_service.store.rows import TRIAL_COLUMNS, trial_from
from nas_service.store.studies import locked, read_study
from nas_service.trials import Trial
from nas_service.warm_start import Start
from search_spaces import Architecture, resolve_space

STUDY, TRIAL = table(StudyRow), table(TrialRow)


def enqueue_trial(
    connection: Connection,
    study_id: int,
    architecture: Architecture,
    costs: dict[str, float],
    violations: dict[str, float],
    *,
    start: Start | None = None,
) -> Trial:
    """Add an architecture to be trained; it takes its place in the budget at once.

    Args:
        connection: In a transaction.
        study_id: Which study.
        architecture: The network.
        costs: Its exact figures.
        violations: By limit, of those that are known.
        start: Of a warm start; a person enqueued it by hand without one.
    """
    study = locked(connection, study_id)
    _refuse_unless_wanted(connection, study, architecture)
    values = _row(study, architecture, costs, violations, start)
    row = connection.execute(insert(TrialRow).values(values).returning(*TRIAL_COLUMNS)).mappings().one()
    counters = {name: study[name] + 1 for name in ("next_number", "next_ordinal", "waiting")}
    connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(counters))
    data = {"trial": row["id"], "number": row["number"], "state": "waiting"}
    events.append(connection, study_id, ("trial.enqueued", data))
    crash_point("store.trial.enqueued")
    return trial_from(row)


def enqueue_starts(connection: Connection, study_id: int, starts: Sequence[Start]) -> None:
    """Add what a new study trains first, as far as its budget goes, and tell what is left out and why."""
    left_out = {start.origin: start.left_out for start in starts if start.left_out}
    count = 0
    for start in starts:
        room = budget.free(read_study(connection, study_id))
        if start.left_out:
            continue
        if room is not None and room <= 0:
            left_out[start.origin] = "does not fit the budget"
            continue
        enqueue_trial(connection, study_id, start.architecture, start.costs, start.violations, start=start)
        count += 1
    if starts:
        events.append(connection, study_id, ("study.warm_start", {"enqueued": count, "left_out": left_out}))


def _refuse_unless_wanted(connection: Connection, study: RowMapping, architecture: Architecture) -> None:
    """Refuse what a study has ended for, forbids, knows already, or has no budget for."""
    if study["state"] not in ("running", "paused"):
        raise Conflict(f"study {study['id']} is {study['state']} and takes no more architectures")
    rule = resolve_space(study["spec"]["space"]).forbidden(architecture)
    if rule is not None:
        raise InvalidInput(FieldError("", f"the study's space forbids {rule}"))
    is_same = (TRIAL.c.study_id == study["id"]) & (TRIAL.c.architecture_hash == architecture.hash)
    known = connection.execute(select(TRIAL.c.number).where(is_same)).scalar()
    if known is not None:
        raise Conflict(f"study {study['id']} knows this architecture already, as trial {known}")
    room = budget.free(study)
    if room is not None and room <= 0:
        raise Conflict(f"the budget of study {study['id']} is used up")


def _row(
    study: RowMapping,
    architecture: Architecture,
    costs: dict[str, float],
    violations: dict[str, float],
    start: Start | None,
) -> dict[str, Any]:
    return {
        "study_id": study["id"],
        "number": study["next_number"],
        "ordinal": study["next_ordinal"],
        "revision": study["revision"],
        "state": "waiting",
        "reason": f"warm start: {start.origin}" if start else "enqueued by hand",
        "arm": "enqueued",
        # What the first version of the space could have drawn teaches the sampler.
        "space_version": 1 if start and start.params else None,
        "params": start.params if start else {},
        "distributions": start.distributions if start else {},
        "attributes": {},
        "architecture": architecture.to_dict(),
        "architecture_hash": architecture.hash,
        "metrics": costs,
        "violations": violations,
        "timings": {},
        "seed": study["next_number"],
        "versions": {},
        "artifacts": {},
        "created_at": datetime.now(UTC),
    }
