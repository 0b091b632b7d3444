"""Changes of a study that exists: name, budget, space and limits."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from nas_service.errors import Stale
from nas_service.ledger import budget, endings
from nas_service.store import events, spaces
from nas_service.store.limits import judge_again
from nas_service.store.models import StudyRow, table
from nas_service.store.studies import DRAINED, locked
from nas_service.studies import StudyChange, StudySpec
from search_spaces import resolve_space

STUDY = table(StudyRow)


def change_study(
    connection: Connection,
    study_id: int,
    change: StudyChange,
    *,
    ahead: spaces.Judged | None,
    sequence: int | None,
) -> None:
    """Give a study another name, budget, space or limits; see `Service.change_study`.

    `ahead` is what could be judged by its next space before the study was locked.
    """
    study = dict(locked(connection, study_id))
    # The lock has just raised the revision by one.
    if sequence is not None and study["revision"] != sequence + 1:
        raise Stale(f"study {study_id} has changed: its sequence is {study['revision'] - 1}, not {sequence}")
    named = _named(change, study)
    values = named | _next_space(connection, change, {**study, **named}, ahead)
    values |= _next_limits(connection, change, {**study, **values})
    if named:
        told = {"name": values["name"], "budget": values["spec"]["budget"]}
        events.append(connection, study_id, ("study.changed", told))
    if values:
        connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(values))
    # Another name starts nothing.
    spec = values.get("spec", study["spec"])
    is_other = any(spec.get(part) != study["spec"].get(part) for part in ("budget", "space", "constraints"))
    # A budget that was given before may have come too late to take effect.
    if is_other or change.budget is not None:
        _go_on_or_end(connection, {**study, **values})


def _named(change: StudyChange, study: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a new name and budget."""
    spec = StudySpec.model_validate(study["spec"])
    budget = change.budget_of(spec.budget)
    named = spec.model_copy(update={"name": change.name or spec.name, "budget": budget})
    if named == spec:
        return {}
    until = study["created_at"] + timedelta(minutes=budget.minutes) if budget.minutes else None
    return {
        "name": named.name,
        "spec": {**study["spec"], **named.model_dump(mode="json", include={"name", "budget"})},
        "budget_trials": budget.trials,
        "budget_epochs": budget.epochs,
        "deadline": until,
    }


def _next_space(
    connection: Connection, change: StudyChange, study: dict[str, Any], ahead: spaces.Judged | None
) -> dict[str, Any]:
    """Judge all trials by the next version of the space; return its columns."""
    if change.space is None:
        return {}
    resolved = resolve_space(change.space)
    if resolved == resolve_space(study["spec"]["space"]):
        return {}
    judged = spaces.judge(connection, study, resolved, ahead)
    excluded = spaces.add_version(connection, study, resolved, judged)
    told = {"version": judged.version, "excluded": excluded}
    events.append(connection, study["id"], ("study.space", told))
    spec = {**study["spec"], "space": change.space}
    return {"spec": spec, "space_version": judged.version, "fruitless_in_a_row": 0}


def _next_limits(connection: Connection, change: StudyChange, study: dict[str, Any]) -> dict[str, Any]:
    """Judge all trials by other limits; return the study's columns.

    The space gets another version along with its limits, equal or not: by that, proposals under earlier
    limits are refused, and workers begin anew. And whatever a new space lets count is judged again.
    """
    spec = StudySpec.model_validate(study["spec"])
    limits = change.constraints_of(spec.constraints)
    is_new = limits != spec.constraints
    if not is_new and change.space is None:
        return {}
    broken = judge_again(connection, study["id"], limits, study["revision"])
    if not is_new:
        return {}
    changed = spec.model_copy(update={"constraints": limits})
    told = changed.model_dump(mode="json", include={"constraints"})
    events.append(connection, study["id"], ("study.changed", {**told, "broken": broken}))
    values = {
        "spec": {**study["spec"], **told},
        "latency_device": changed.latency_device,
        "fruitless_in_a_row": 0,
        "space_version": study["space_version"],
    }
    if change.space is None:
        values["space_version"] += 1
        spaces.repeat_version(connection, study["id"], values["space_version"], resolve_space(spec.space))
    return values


def _go_on_or_end(connection: Connection, study: dict[str, Any]) -> None:
    """Let a study that ended, or drains, by itself run again where its budget has room, and end one whose
    budget is used up.
    """
    drains_by_itself = study["state"] == "draining" and study["reason"] != DRAINED
    if (study["state"] in ("finished", "failed") or drains_by_itself) and _has_budget(study):
        going = {"state": "running", "reason": "", "finished_at": None, "fruitless_in_a_row": 0}
        connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(going))
        events.append(connection, study["id"], ("study.state", {"state": "running"}))
    elif study["state"] == "running":
        endings.end_if_done(connection, study)


def _has_budget(study: Mapping[str, Any]) -> bool:
    room = budget.free(study)
    has_time = study["deadline"] is None or study["deadline"] > datetime.now(UTC)
    return has_time and (room is None or room > 0)
