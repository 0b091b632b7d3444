"""Operations on studies, each within the caller's transaction."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from nas_service.crash_points import crash_point
from nas_service.errors import Conflict, no_such
from nas_service.ledger import endings
from nas_service.store import events, spaces
from nas_service.store.models import StudyRow, TrialRow, table
from nas_service.studies import StudySpec, StudyState
from nas_service.views import DatasetView, StudyView, TrialCounts
from search_spaces import resolve_space

STUDY, TRIAL = table(StudyRow), table(TrialRow)
# Put together once: nearly every read begins with it.
_ONE_STUDY = select(STUDY).where(STUDY.c.id == bindparam("wanted"))
DRAINED = "drained on request"
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
        endings.drain_study(connection, study, DRAINED)
    elif target == "cancelled":
        abandon_unfinished(connection, study, "the study was cancelled")
        endings.end_study(connection, study_id, "cancelled", "cancelled on request")
    else:
        connection.execute(update(STUDY).where(STUDY.c.id == study_id).values(state=target, reason=""))
        events.append(connection, study_id, ("study.state", {"state": target}))
        # What ran on while it was paused may have used the budget up.
        endings.end_if_done(connection, {**study, "state": target, "reason": ""})


def delete_study(connection: Connection, study_id: int) -> None:
    """Delete an ended study with all its trials."""
    study = read_study(connection, study_id)
    if study["state"] in ("running", "paused", "draining"):
        raise Conflict(f"study {study_id} is {study['state']}; cancel it before deleting it")
    connection.execute(delete(STUDY).where(STUDY.c.id == study_id))
    events.append(connection, None, ("study.deleted", {"study": study_id, "name": study["name"]}))


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


def abandon_unfinished(connection: Connection, study: RowMapping, reason: str) -> None:
    """Fail what runs or waits; a worker that still trains one of these will find its lease lost.

    Args:
        connection: In a transaction that holds the study's lock.
        study: The study's row.
        reason: Why nobody will train these any more.
    """
    unfinished = (TRIAL.c.study_id == study["id"]) & TRIAL.c.state.in_(("running", "waiting"))
    epochs = connection.execute(select(endings.reported_epochs()).where(unfinished)).scalars().all()
    values = {
        "state": "failed",
        "reason": reason,
        "finished_at": datetime.now(UTC),
        "lease_expires_at": None,
        "checkpoints": None,
        "revision": study["revision"],
    }
    count = connection.execute(update(TRIAL).where(unfinished).values(values)).rowcount
    counters = {"running": 0, "waiting": 0, "failed": study["failed"] + count}
    counters["epochs_spent"] = study["epochs_spent"] + sum(epochs)
    connection.execute(update(STUDY).where(STUDY.c.id == study["id"]).values(counters))
