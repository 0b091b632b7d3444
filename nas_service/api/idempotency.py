"""Idempotency-Key: a request that was sent twice acts once, and is answered alike both times."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.crash_points import crash_point
from nas_service.errors import Conflict, FieldError, InvalidInput
from nas_service.store.engine import writing
from nas_service.store.models import RequestRow, table

REQUEST = table(RequestRow)
# A first request that has not ended after this long died with its server.
PATIENCE = timedelta(minutes=1)
UNANSWERED = 0

Answer = tuple[int, dict[str, Any]]


def answer_once(engine: Engine, key: str, body: bytes, act: Callable[[], Answer]) -> Answer:
    """Return what `act` answers, or what it answered when the key was first used.

    Raises:
        InvalidInput: The key was used with another body.
        Conflict: The first request with this key is still being answered.
    """
    digest = hashlib.sha256(body).hexdigest()
    with writing(engine) as connection:
        known = _claim(connection, key, digest)
    if known is not None:
        return known
    crash_point("api.idempotency.claimed")
    try:
        status, answer = act()
    except BaseException:
        # A refused request leaves no trace: corrected, it may come again under its key.
        with writing(engine) as connection:
            connection.execute(delete(REQUEST).where(REQUEST.c.key == key))
        raise
    crash_point("api.idempotency.acted")
    with writing(engine) as connection:
        done = update(REQUEST).where(REQUEST.c.key == key).values(status=status, answer=answer)
        connection.execute(done)
    return status, answer


def _claim(connection: Connection, key: str, digest: str) -> Answer | None:
    """Return the key's answer; None where the caller is to act, with the key taken in its name."""
    now = datetime.now(UTC)
    values = {"key": key, "body_sha256": digest, "status": UNANSWERED, "answer": {}, "created_at": now}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    taken = dialect.insert(RequestRow).values(values).on_conflict_do_nothing().returning(RequestRow.key)
    if connection.execute(taken).one_or_none() is not None:
        return None
    row = connection.execute(select(REQUEST).where(REQUEST.c.key == key)).one()
    if row.body_sha256 != digest:
        raise InvalidInput(FieldError("", "this Idempotency-Key was used with another body"))
    if row.status != UNANSWERED:
        return row.status, row.answer
    if now - row.created_at < PATIENCE:
        raise Conflict("the first request with this Idempotency-Key is still being answered")
    connection.execute(update(REQUEST).where(REQUEST.c.key == key).values(created_at=now))
    return None
