"""Reading what analyses need of trials that ended since the last look."""

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, func, select

from nas_service.details import Detail, Details
from nas_service.store.models import EpochRow, TrialRow, table

TRIAL, EPOCH = table(TrialRow), table(EpochRow)


def refresh(connection: Connection, study_id: int, details: Details, *, revision: int, count: int) -> None:
    """Bring details up to a revision of a study, at which it has `count` trials."""
    is_ours = (TRIAL.c.study_id == study_id) & (TRIAL.c.number < count)
    is_news = is_ours & (TRIAL.c.revision > details.revision) & TRIAL.c.state.in_(("complete", "pruned"))
    details.take(revision, _details(connection, is_news, details.rungs), count)


def _details(
    connection: Connection, condition: ColumnElement[bool], rungs: tuple[int, ...]
) -> Iterator[Detail]:
    epochs = _epochs(connection, condition)
    at_rungs = _at_rungs(connection, condition, rungs)
    columns = (TRIAL.c.number, TRIAL.c.params, TRIAL.c.distributions)
    for row in connection.execute(select(*columns).where(condition)):
        yield Detail(
            row.number, row.params, row.distributions, epochs.get(row.number, 0), at_rungs[row.number]
        )


def _epochs(connection: Connection, condition: ColumnElement[bool]) -> dict[int, int]:
    last = select(TRIAL.c.number, func.max(EPOCH.c.epoch)).join(EPOCH, EPOCH.c.trial_id == TRIAL.c.id)
    return {row[0]: row[1] for row in connection.execute(last.where(condition).group_by(TRIAL.c.number))}


def _at_rungs(
    connection: Connection, condition: ColumnElement[bool], rungs: tuple[int, ...]
) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = defaultdict(dict)
    if rungs:
        columns = (TRIAL.c.number, EPOCH.c.epoch, EPOCH.c.accuracy)
        query = select(*columns).join(EPOCH, EPOCH.c.trial_id == TRIAL.c.id).where(condition)
        is_rung = EPOCH.c.epoch.in_(rungs) & EPOCH.c.accuracy.is_not(None)
        for number, epoch, accuracy in connection.execute(query.where(is_rung)):
            found[number][epoch] = accuracy
    return found
