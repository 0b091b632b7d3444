"""Operations on studies and their trials, each within the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from nas_service.crash_points import crash_point
from nas_service.errors import Conflict, FieldError, InvalidInput, Stale, no_such
from nas_service.ledger import budget, endings
from nas_service.store import events, spaces
from nas_service.store.limits import judge_again
from nas_service.store.models import EpochRow, StudyRow, TrialRow, table
from nas_service.store.rows import TRIAL_COLUMNS, trial_from
from nas_service.studies import StudyChange, StudySpec, StudyState
from nas_service.trials import Trial, TrialState
from nas_service.views import CurvePoint, DatasetView, StudyView, TrialCounts, TrialSpan
from nas_service.warm_start import Start
from search_spaces import Architecture, resolve_space

STUDY, TRIAL, EPOCH = table(StudyRow), table(TrialRow), table(EpochRow)
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
# Put together once: nearly every read begins with one of these.
_ONE_STUDY = select(STUDY).where(STUDY.c.id == bindparam("wanted"))
_ONE_TRIAL = select(*TRIAL_COLUMNS).where(TRIAL.c.id == bindparam("wanted"))
_NUMBERED = select(*TRIAL_COLUMNS).where(
    TRIAL.c.study_id == bindparam("wanted"), TRIAL.c.number == bindparam("number")
)
# From which states a request may lead to which.
MOVES: dict[str, tuple[tuple[StudyState, ...], StudyState]] = {
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "drain": (("running", "paused"), "draining"),
    "cancel": (("running", "paused", "draining"), "cancelled"),
}


def insert_study(connection: Connection, spec: StudySpec, dataset: DatasetView) -> int:
    """Write a new, running study and return its id."""
    now = datetime.now(UTC)
    minutes = spec.budget.minutes
    values = {
        "name": spec.name,
        "spec": spec.model_dump(mode="json"),
        "state": "running",
        "dataset_sha256": dataset.sha256,
        "input_shape": list(dataset.input_shape),
        "classes": dataset.classes,
        "max_fruitless": spec.search.max_infeasible_in_a_row,
        "latency_device": spec.latency_device,
        "budget_trials": spec.budget.trials,
        "budget_epochs": spec.budget.epochs,
        "epochs_a_trial": spec.training.epochs,
        "deadline": now + timedelta(minutes=minutes) if minutes else None,
        "created_at": now,
    }
    study_id: int = connection.execute(insert(StudyRow).values(values).returning(STUDY.c.id)).scalar_one()
    spaces.insert_version(connection, study_id, 1, resolve_space(spec.space))
    events.append(connection, study_id, ("study.created", {"name": spec.name}))
    crash_point("store.study.created")
    return study_id


def read_study(connection: Connection, study_id: int) -> RowMapping:
    """Return a study's row; raises `NotFound`."""
    row = connection.execute(_ONE_STUDY, {"wanted": study_id}).mappings().one_or_none()
    if row is None:
        raise no_such("study", study_id)
    return row


def locked(connection: Connection, study_id: int) -> RowMapping:
    """Take a study's lock and a new revision, and return its row; raises `NotFound`."""
    bump = update(STUDY).where(STUDY.c.id == study_id).values(revision=STUDY.c.revision + 1).returning(STUDY)
    row = connection.execute(bump).mappings().one_or_none()
    if row is None:
        raise no_such("study", study_id)
    return row


def read_studies(
    connection: Connection, *, below: int | None, limit: int, state: str | None, name: str | None = None
) -> list[RowMapping]:
    """Return studies of an id under `below` whose name holds `name` in whatever case, the newest first."""
    query = select(STUDY).order_by(STUDY.c.id.desc()).limit(limit)
    query = query.where(STUDY.c.id < below) if below is not None else query
    query = query.where(STUDY.c.state == state) if state else query
    query = query.where(STUDY.c.name.icontains(name, autoescape=True)) if name else query
    return list(connection.execute(query).mappings())


def ids_of_name(connection: Connection, name: str) -> list[int]:
    """Return the ids of all studies of a name, the newest first."""
    query = select(STUDY.c.id).where(STUDY.c.name == name).order_by(STUDY.c.id.desc())
    return list(connection.execute(query).scalars())


def move_study(connection: Connection, study_id: int, request: str) -> None:
    """Pause, resume, drain or cancel a study; raises `Conflict` where its state forbids that."""
    study = locked(connection, study_id)
    sources, target = MOVES[request]
    if study["state"] not in sources:
        more = f"; to go on: nas study extend {study_id}" if study["state"] in ("finished", "failed") else ""
        raise Conflict(
            f"cannot {request} study {study_id}: it is {study['state']}, not {' or '.join(sources)}{more}"
        )
    if target == "draining":
        endings.drain_study(connection, study, "drained on request")
    elif target == "cancelled":
        _abandon_unfinished(connection, study)
        endings.end_study(connection, study_id, "cancelled", "cancelled on request")
    else:
        connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(state=target, reason=""))
        events.append(connection, study_id, ("study.state", {"state": target}))
        # What ran on while it was paused may have used the budget up.
        endings.end_if_done(connection, {**study, "state": target, "reason": ""})


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
    if not values:
        return
    connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(values))
    # Another name starts nothing.
    if any(
        values["spec"].get(part) != study["spec"].get(part) for part in ("budget", "space", "constraints")
    ):
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
    """Let an ended study run again where its budget has room, and end one whose budget is used up."""
    if study["state"] in ("finished", "failed") and _has_budget(study):
        going = {"state": "running", "reason": "", "finished_at": None}
        connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(going))
        events.append(connection, study["id"], ("study.state", {"state": "running"}))
    elif study["state"] == "running":
        endings.end_if_done(connection, study)


def _has_budget(study: Mapping[str, Any]) -> bool:
    room = budget.free(study)
    has_time = study["deadline"] is None or study["deadline"] > datetime.now(UTC)
    return has_time and (room is None or room > 0)


def delete_study(connection: Connection, study_id: int) -> None:
    """Delete an ended study with all its trials."""
    study = read_study(connection, study_id)
    if study["state"] in ("running", "paused", "draining"):
        raise Conflict(f"study {study_id} is {study['state']}; cancel it before deleting it")
    connection.execute(delete(STUDY).where(STUDY.c.id == study_id))
    events.append(connection, None, ("study.deleted", {"study": study_id, "name": study["name"]}))


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
    if study["state"] not in ("running", "paused"):
        raise Conflict(f"study {study_id} is {study['state']} and takes no more architectures")
    _refuse_forbidden(study, architecture)
    known = connection.execute(
        select(TRIAL.c.number).where(
            TRIAL.c.study_id == study_id, TRIAL.c.architecture_hash == architecture.hash
        )
    ).scalar()
    if known is not None:
        raise Conflict(f"study {study_id} knows this architecture already, as trial {known}")
    room = budget.free(study)
    if room is not None and room <= 0:
        raise Conflict(f"the budget of study {study_id} is used up")
    values = {
        "study_id": study_id,
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


def read_architectures(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the networks of some trials by trial id."""
    found: dict[int, dict[str, Any]] = {}
    for begin in range(0, len(trial_ids), NUMBERS_A_STATEMENT):
        chosen = TRIAL.c.id.in_(trial_ids[begin : begin + NUMBERS_A_STATEMENT])
        rows = connection.execute(select(TRIAL.c.id, TRIAL.c.architecture).where(chosen))
        found |= {row.id: row.architecture for row in rows}
    return found


def read_listed(connection: Connection, trial_ids: Sequence[int]) -> list[RowMapping]:
    """Return what lists show of the trials of some ids, by number."""
    found: list[RowMapping] = []
    for begin in range(0, len(trial_ids), NUMBERS_A_STATEMENT):
        chosen = TRIAL.c.id.in_(trial_ids[begin : begin + NUMBERS_A_STATEMENT])
        found += connection.execute(select(*LISTED_COLUMNS).where(chosen)).mappings()
    return sorted(found, key=lambda row: int(row["number"]))


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


def view_of(row: RowMapping, reason: str) -> StudyView:
    """Return a study as it is shown."""
    ended = row["finished_at"] or datetime.now(UTC)
    return StudyView(
        study=row["id"],
        name=row["name"],
        state=row["state"],
        reason=reason,
        trials=TrialCounts(**{name: row[name] for name in TrialCounts.model_fields}),
        budget_trials=row["budget_trials"],
        budget_epochs=row["budget_epochs"],
        epochs_spent=row["epochs_spent"],
        elapsed_s=round((ended - row["created_at"]).total_seconds(), 3),
        sequence=row["revision"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        dataset_sha256=row["dataset_sha256"],
        space_version=row["space_version"],
        spec=StudySpec.model_validate(row["spec"]),
    )


def _refuse_forbidden(study: RowMapping, architecture: Architecture) -> None:
    rule = resolve_space(study["spec"]["space"]).forbidden(architecture)
    if rule is not None:
        raise InvalidInput(FieldError("", f"the study's space forbids {rule}"))


def _abandon_unfinished(connection: Connection, study: RowMapping) -> None:
    """Fail what runs or waits; a worker that still trains one of these will find its lease lost."""
    unfinished = (TRIAL.c.study_id == study["id"]) & TRIAL.c.state.in_(("running", "waiting"))
    epochs = connection.execute(select(endings.reported_epochs()).where(unfinished)).scalars().all()
    values = {
        "state": "failed",
        "reason": "the study was cancelled",
        "finished_at": datetime.now(UTC),
        "lease_expires_at": None,
        "checkpoints": None,
        "revision": study["revision"],
    }
    count = connection.execute(update(TRIAL).where(unfinished).values(values)).rowcount
    counters = {"running": 0, "waiting": 0, "failed": study["failed"] + count}
    counters["epochs_spent"] = study["epochs_spent"] + sum(epochs)
    connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(counters))
