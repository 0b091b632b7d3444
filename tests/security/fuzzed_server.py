"""A server to throw things at: the real application on loopback, with the token that a client would send."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service.app import create_app
from nas_service.settings import Settings

DOCUMENT = "/api/v1/openapi.json"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server answers, and what every request carries."""

    address: str
    headers: dict[str, str]
    settings: Settings


class FirstFrames:
    """Hangs up on event streams after their first frame, as a client would that has seen enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("stream"):
            await self._app(scope, receive, send)
            return
        is_seen = asyncio.Event()
        requests = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive_once() -> Message:
            if requests:
                return requests.pop()
            await is_seen.wait()
            return {"type": "http.disconnect"}

        async def send_first(message: Message) -> None:
            if is_seen.is_set():
                return
            if message["type"] == "http.response.body" and message.get("body"):
                is_seen.set()
                message = {**message, "more_body": False}
            await send(message)

        # From 2.4 on a server would tell of a client that left by failing to send.
        asgi = {**scope["asgi"], "spec_version": "2.3"}
        await self._app({**scope, "asgi": asgi}, receive_once, send_first)


@contextmanager
def fuzzed_server(home: Path) -> Iterator[Target]:
    """Serve a new data folder and yield where and how."""
    settings = Settings(home=home, database_url=None, port=0)
    config = uvicorn.Config(
        FirstFrames(create_app(settings)),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.01)
    token = (settings.data_home / "token").read_text().strip()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Target(f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}, settings)
    finally:
        server.should_exit = True
        thread.join()
