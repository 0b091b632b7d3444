"""The append-only list of events."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, insert, select, text

from nas_service.store.engine import now_moment
from nas_service.store.models import EventRow, table
from nas_service.views import EventView

EVENT = table(EventRow)


def append(connection: Connection, study_id: int | None, *events: tuple[str, dict[str, Any]]) -> None:
    """Append (kind, data) events in the caller's transaction."""
    if events:
        rows = [{"study_id": study_id, "kind": kind, "data": data} for kind, data in events]
        # The database's clock: by it readers tell whether a gap may still be filled; a worker's may be off.
        connection.execute(insert(EVENT).values(at=now_moment(connection)), rows)


def after(
    connection: Connection, sequence: int, *, study_id: int | None = None, limit: int = 500
) -> list[EventView]:
    """Return the events behind a sequence number, oldest first."""
    query = select(EVENT).where(EVENT.c.sequence > sequence).order_by(EVENT.c.sequence).limit(limit)
    if study_id is not None:
        query = query.where(EVENT.c.study_id == study_id)
    if connection.dialect.name == "postgresql":
        # Numbers are given before transactions end: while one that began earlier is under way, a lower number
        # may still come, and whoever read past it would never see it.
        query = query.where(text("age(events.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)"))
    return [EventView.model_construct(**row) for row in connection.execute(query).mappings()]


def before(
    connection: Connection, study_id: int, *, kinds: Iterable[str], below: int | None, limit: int
) -> list[EventView]:
    """Return a study's events of some kinds, the newest first.

    Args:
        connection: Reads the events.
        study_id: Whose events.
        kinds: Which ones.
        below: Only those of a lower sequence number.
        limit: At most so many.
    """
    query = select(EVENT).where(EVENT.c.study_id == study_id, EVENT.c.kind.in_(list(kinds)))
    query = query.where(EVENT.c.sequence < below) if below is not None else query
    newest_first = query.order_by(EVENT.c.sequence.desc()).limit(limit)
    return [EventView.model_construct(**row) for row in connection.execute(newest_first).mappings()]


def last(connection: Connection, kinds: Iterable[str] = ()) -> int:
    """Return the highest sequence number so far, 0 before the first event."""
    query = select(EVENT.c.sequence).order_by(EVENT.c.sequence.desc()).limit(1)
    if kinds:
        query = query.where(EVENT.c.kind.in_(list(kinds)))
    return connection.execute(query).scalar() or 0
