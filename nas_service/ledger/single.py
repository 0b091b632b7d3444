"""One new proposal in one statement, for PostgreSQL: what a worker that trains one candidate reserves.

The study's lock is then held for one round trip and the commit, not for one round trip each to count, to
write the trial and to write its event: with many workers on few cores, whoever holds it waits for a core.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, RowMapping, Select, Update, bindparam, func, insert, select

from nas_service.store.engine import now_moment
from nas_service.store.models import EventRow, StudyRow, TrialRow, table

STUDY, TRIAL, EVENT = table(StudyRow), table(TrialRow), table(EventRow)
# What the statement works out by itself.
COUNTED = ("number", "ordinal", "revision", "lease_expires_at")
_built: dict[Callable[..., Update], Select[Any]] = {}


def write(
    connection: Connection, counting: Callable[[Connection], Update], values: Mapping[str, Any], **counts: Any
) -> RowMapping | None:
    """Count one proposal in, write its trial and its event, and return the study's row with the trial's id.

    Args:
        connection: On PostgreSQL, in a transaction.
        counting: Makes the statement that takes the study's lock, counts, and returns the row with its clock.
        values: Of the trial's columns but for `COUNTED`; `lease_s` is how long it is held, None for not at
            all.
        counts: Further values that `counting` binds.

    Returns:
        None, and nothing is written, where `counting` finds no row that takes the proposal.
    """
    statement = _built.get(counting)
    if statement is None:
        statement = _built[counting] = _statement(connection, counting, tuple(values.keys() - {"lease_s"}))
    bound = {f"b_{name}": value for name, value in values.items()}
    found: CursorResult[Any] = connection.execute(statement, {**bound, **counts})
    return found.mappings().one_or_none()


def _statement(
    connection: Connection, counting: Callable[[Connection], Update], names: tuple[str, ...]
) -> Select[Any]:
    counted = counting(connection).cte("counted")
    worked_out = (
        counted.c.next_number - 1,
        counted.c.next_ordinal - 1,
        counted.c.revision,
        counted.c.clock + bindparam("b_lease_s", type_=TRIAL.c.lease_expires_at.type),
    )
    given = [bindparam(f"b_{name}", type_=TRIAL.c[name].type) for name in names]
    row = select(*worked_out, *given).select_from(counted)
    new = insert(TRIAL).from_select([*COUNTED, *names], row, include_defaults=False)
    written = new.returning(TRIAL.c.id, TRIAL.c.study_id, TRIAL.c.number, TRIAL.c.state).cte("written")
    data = func.json_build_object("trial", written.c.id, "number", written.c.number, "state", written.c.state)
    kind = bindparam("e_kind", type_=EVENT.c.kind.type)
    event = insert(EVENT).from_select(
        ["study_id", "kind", "at", "data"], select(written.c.study_id, kind, now_moment(connection), data)
    )
    answer = select(counted, written.c.id.label("trial_id")).join_from(
        counted, written, written.c.study_id == counted.c.id
    )
    return answer.add_cte(event.cte("told"))
