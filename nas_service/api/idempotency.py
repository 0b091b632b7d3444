"""Idempotency-Key: a request that was sent twice acts once, and is answered alike both times."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.api.bodies import YAML_TYPES, JsonRoute
from nas_service.crash_points import crash_point
from nas_service.errors import Conflict, FieldError, InvalidInput
from nas_service.store.engine import writing
from nas_service.store.models import RequestRow, table

REQUEST = table(RequestRow)
# A first request that has not ended after this long died with its server.
PATIENCE = timedelta(minutes=1)
UNANSWERED = 0
MAX_KEY = 200
HEADER = "Idempotency-Key"

Key = Annotated[
    str | None,
    Header(min_length=1, max_length=MAX_KEY, description="Sent again, the first answer comes again."),
]


def _documented(idempotency_key: Key = None) -> None:
    """Let the interface's description tell of the header, and refuse one of a wrong length."""


ONCE = Depends(_documented)


class OnceRoute(JsonRoute):
    """A route that acts once for each Idempotency-Key; later requests with it get the first one's answer."""

    async def answered(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        key = request.headers.get(HEADER)
        if key is None or not 1 <= len(key) <= MAX_KEY:
            return await super().answered(request, handle)
        engine: Engine = request.app.state.service.engine
        place = f"{request.method} {request.url.path}?{request.url.query}".encode()
        digest = hashlib.sha256(place + b"\n" + await request.body()).hexdigest()
        known = await run_in_threadpool(_claim, engine, key, digest)
        if known is not None:
            return known
        crash_point("api.idempotency.claimed")
        try:
            response = await super().answered(request, handle)
        except BaseException:
            # A refused request leaves no trace: corrected, it may come again under its key.
            await run_in_threadpool(_release, engine, key)
            raise
        crash_point("api.idempotency.acted")
        await run_in_threadpool(_keep, engine, key, response)
        return response


class OnceSpecRoute(OnceRoute):
    """The same for a body that is JSON or YAML."""

    media_types = (*JsonRoute.media_types, *YAML_TYPES)


def _claim(engine: Engine, key: str, digest: str) -> Response | None:
    """Return the key's answer; None where the caller is to act, with the key taken in its name.

    Raises:
        InvalidInput: The key was used for another request.
        Conflict: The first request with this key is still being answered.
    """
    with writing(engine) as connection:
        row = _taken_before(connection, key, digest)
        if row is None:
            return None
        if row.body_sha256 != digest:
            raise InvalidInput(FieldError("", f"this {HEADER} was used with another body or address"))
        if row.status != UNANSWERED:
            return _again(row.status, row.answer)
        now = datetime.now(UTC)
        if now - row.created_at < PATIENCE:
            raise Conflict(f"the first request with this {HEADER} is still being answered")
        connection.execute(update(REQUEST).where(REQUEST.c.key == key).values(created_at=now))
    return None


def _taken_before(connection: Connection, key: str, digest: str) -> Any | None:
    """Return the row of a key that is in use; None where it was free and is now taken."""
    now = datetime.now(UTC)
    values = {"key": key, "body_sha256": digest, "status": UNANSWERED, "answer": {}, "created_at": now}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    taken = dialect.insert(RequestRow).values(values).on_conflict_do_nothing().returning(RequestRow.key)
    if connection.execute(taken).one_or_none() is not None:
        return None
    return connection.execute(select(REQUEST).where(REQUEST.c.key == key)).one()


def _release(engine: Engine, key: str) -> None:
    with writing(engine) as connection:
        connection.execute(delete(REQUEST).where(REQUEST.c.key == key))


def _keep(engine: Engine, key: str, response: Response) -> None:
    answer = {"content": json.loads(bytes(response.body)), "location": response.headers.get("Location")}
    done = update(REQUEST).where(REQUEST.c.key == key)
    with writing(engine) as connection:
        connection.execute(done.values(status=response.status_code, answer=answer))


def _again(status: int, answer: dict[str, Any]) -> Response:
    location = answer.get("location")
    # Answers kept by earlier versions are the content alone.
    content = answer.get("content", answer)
    return JSONResponse(content, status, headers={"Location": location} if location else None)
