"""Answers that go on end with what their reader was let in by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Between two looks at a reader's token or session; a revoked one is remembered as good for two seconds more.
LOOK_S = 5.0


async def until_shut_out(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    is_still_good: Callable[[], Awaitable[bool]] | None,
) -> None:
    """Let `app` answer for as long as its reader is let in; None as the last argument means for ever."""
    if is_still_good is None:
        await app(scope, receive, send)
        return
    has_begun = False

    async def noted_send(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    answer = asyncio.ensure_future(app(scope, receive, noted_send))
    try:
        while not (await asyncio.wait({answer}, timeout=LOOK_S))[0]:
            if not await is_still_good():
                await _end(answer)
                if has_begun:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        answer.result()
    finally:
        await _end(answer)


async def _end(answer: "asyncio.Future[None]") -> None:
    answer.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await answer
