"""Versions of a study's space, and which of its trials count under the newest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, bindparam, delete, insert, select, update

from nas_service.store.models import RepeatRow, SpaceRow, StudyAttributeRow, TrialRow, table
from nas_service.views import SpaceVersion
from search_spaces import Architecture, SearchSpace, resolve_space
from search_spaces.versions import carried

SPACE, TRIAL, REPEAT = table(SpaceRow), table(TrialRow), table(RepeatRow)
ATTRIBUTE = table(StudyAttributeRow)
# A study's row, perhaps with what is about to be changed of it.
StudyFields = RowMapping | dict[str, Any]
# What a verdict on a trial or repeat needs of its row.
JUDGED = ("id", "trial_id", "space_version", "params", "architecture")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a new space makes of a study's trials."""

    # The number that the space gets.
    version: int
    # Ordinals below this one have been judged.
    until: int
    # By trial: why it does not count, None where it does.
    verdicts: Mapping[int, str | None]


def insert_version(connection: Connection, study_id: int, version: int, space: SearchSpace) -> None:
    """Keep a version of a study's space, spelled out: a family may have changed when it is read again."""
    values = {
        "study_id": study_id,
        "version": version,
        "space": space.to_dict(),
        "created_at": datetime.now(UTC),
    }
    connection.execute(insert(SpaceRow).values(values))


def repeat_version(connection: Connection, study_id: int, version: int, space: SearchSpace) -> None:
    """Keep the same space under another version, since something else that decides about trials changed."""
    insert_version(connection, study_id, version, space)
    connection.execute(delete(ATTRIBUTE).where(ATTRIBUTE.c.study_id == study_id))


def read_versions(connection: Connection, study_id: int) -> list[SpaceVersion]:
    """Return all versions of a study's space, the first one first."""
    query = select(SPACE).where(SPACE.c.study_id == study_id).order_by(SPACE.c.version)
    return [
        SpaceVersion(version=row.version, space=row.space, created_at=row.created_at)
        for row in connection.execute(query)
    ]


def read_spaces(connection: Connection, study_id: int) -> dict[int, Any]:
    """Return the spaces themselves by version."""
    return {row.version: row.space for row in read_versions(connection, study_id)}


def judge(
    connection: Connection, study: StudyFields, space: SearchSpace, ahead: Judged | None = None
) -> Judged:
    """Judge a study's trials by a space that is to be its next one; milliseconds a trial.

    A trial counts if the space could have drawn it, under its own parameters or those of a repeat. What a
    person enqueued need not be of the space, but its rules hold for it all the same.

    Args:
        connection: Reads the trials.
        study: The study's row.
        space: The space to judge by.
        ahead: An earlier answer for the same space; only later proposals are judged then.
    """
    version = study["space_version"] + 1
    if ahead is None or ahead.version != version:
        ahead = Judged(version, 0, {})
    verdicts = dict(ahead.verdicts)
    is_legal = _legality(connection, study, space)
    for trial in connection.execute(_between(TRIAL, ahead.until, study)):
        is_drawn = trial.space_version is not None and is_legal(trial)
        verdicts[trial.id] = None if is_drawn else _why(trial, version, space)
    for repeat in connection.execute(_between(REPEAT, ahead.until, study)):
        if verdicts[repeat.trial_id] and is_legal(repeat):
            verdicts[repeat.trial_id] = None
    return Judged(version, study["next_ordinal"], verdicts)


def _between(rows: Table, begin: int, study: StudyFields) -> Select[Any]:
    """Select proposals from an ordinal on, up to what the study's row knows of."""
    is_new = (rows.c.ordinal >= begin) & (rows.c.ordinal < study["next_ordinal"])
    columns = [rows.c[name] for name in JUDGED if name in rows.c]
    return select(*columns).where(rows.c.study_id == study["id"], is_new)


def _legality(connection: Connection, study: StudyFields, space: SearchSpace) -> Callable[[Any], bool]:
    """Return what tells whether a space could have drawn a trial or repeat of an earlier one."""
    earlier = {number: resolve_space(data) for number, data in read_spaces(connection, study["id"]).items()}

    def is_legal(row: Any) -> bool:
        was = earlier[row.space_version]
        return carried(row.params, was, space, study["input_shape"], study["classes"]) is not None

    return is_legal


def add_version(connection: Connection, study: StudyFields, space: SearchSpace, judged: Judged) -> int:
    """Keep the next version and what it makes of the trials; return how many it excludes.

    Args:
        connection: In a transaction that holds the study's lock.
        study: The study's row.
        space: Its next space.
        judged: All trials, judged under the same lock.
    """
    insert_version(connection, study["id"], judged.version, space)
    # What samplers keep names trials by their place: parents that may be legal no longer.
    connection.execute(delete(ATTRIBUTE).where(ATTRIBUTE.c.study_id == study["id"]))
    again = update(TRIAL).where(TRIAL.c.study_id == study["id"], TRIAL.c.excluded.is_not(None))
    connection.execute(again.values(excluded=None, revision=study["revision"]))
    excluded = [{"of": trial, "why": why} for trial, why in judged.verdicts.items() if why]
    if excluded:
        statement = update(TRIAL).where(TRIAL.c.id == bindparam("of"))
        values = {"excluded": bindparam("why"), "revision": study["revision"]}
        connection.execute(statement.values(values), excluded)
    return len(excluded)


def _why(trial: Any, version: int, space: SearchSpace) -> str | None:
    rule = space.forbidden(Architecture.from_dict(trial.architecture)) if space.rules else None
    if rule is not None:
        return f"version {version} of the space forbids {rule}"
    return None if trial.space_version is None else f"not in version {version} of the space"
