"""Writing down what a request did: by its policy, so that no route can forget it."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import Message, Send

from nas_service.api import PREFIX
from nas_service.api.actor import Actor
from nas_service.store import audit
from nas_service.store.engine import writing

log = logging.getLogger(__name__)


@asynccontextmanager
async def recorded(request: Request, action: str, send: Send) -> AsyncIterator[Send]:
    """Write down what comes of a request before its sender is told, also where it ends in an error.

    A handler may set `request.state.target` to name better than the address what it acted on, and
    `request.state.is_audited = False` where it turned out to change nothing.
    """
    is_answered = False

    async def recorded_send(message: Message) -> None:
        nonlocal is_answered
        if message["type"] == "http.response.start":
            is_answered = True
            await _note(request, action, message["status"], Headers(scope=message).get("location"))
        await send(message)

    try:
        yield recorded_send
    except Exception:
        if not is_answered:
            await _note(request, action, 500, None)
        raise


async def _note(request: Request, action: str, status: int, location: str | None) -> None:
    if not getattr(request.state, "is_audited", True):
        return
    actor: Actor | None = request.state.actor
    path = location if status == 201 and location else request.url.path
    deed = audit.Deed(
        action=action,
        target=getattr(request.state, "target", None) or path.removeprefix(PREFIX).strip("/"),
        actor=actor.name if actor else "",
        role=actor.role.value if actor else "",
        token_id=actor.token_id if actor else None,
        status=status,
        request_id=request_id(request),
        address=request.client.host if request.client else None,
    )

    def write() -> None:
        with writing(request.app.state.service.engine) as connection:
            audit.append(connection, deed)

    try:
        await run_in_threadpool(write)
    except SQLAlchemyError:
        # What was done is done: then the server's log is the only place left.
        log.exception("not in the audit log: %s", deed)


def request_id(request: Request) -> str:
    """Return the id by which logs name this request; made here where nobody gave it one."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = secrets.token_hex(8)
    known: str = request.state.request_id
    return known
