"""One server over HTTP, for the client and for remote workers: pooled connections, and errors told apart."""

import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
from anyio.to_thread import run_sync

from nas_service.errors import DamagedFile, Unavailable
from nas_service.exchange import (
    PREFIX,
    Pause,
    Plan,
    Receive,
    Refused,
    Request,
    Step,
    Unreachable,
    Work,
    exchange,
    problem_in,
)
from nas_service.node_cache import NodeCache
from nas_service.redaction import conceal, redacted

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Servers close idle connections after five seconds; letting go earlier avoids writing into a closed one.
LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=4.0)
SHA256 = re.compile(r"[0-9a-f]{64}")
CACHE_BYTES = 20 * 1000**3
# What is read or written of a file at a time.
PART_BYTES = 1024 * 1024
# What the address of a server may look like.
ADDRESSES = "http://HOST:PORT or https://HOST"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
Outcome = TypeVar("Outcome")


class Damaged(Exception):
    """A downloaded file is not the one that was asked for."""


class NoRoom(Exception):
    """This machine cannot keep what it was to download."""


class Connection:
    """Requests to one server.

    Args:
        server: Its address, "http://host:8000".
        token: Sent with every request.

    Raises:
        Unreachable: `server` is no address.
    """

    def __init__(self, server: str, token: str | None) -> None:
        # As it may be shown.
        self.server = redacted(server)
        try:
            self._client = httpx.Client(**_options(server, token))
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{self.server!r} is no address: {error}") from error

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()

    def run(self, plan: Plan[Outcome]) -> Outcome:
        """Return what a plan comes to, its steps performed one after another."""
        failure: BaseException | None = None
        outcome: Any = None
        while True:
            try:
                step = plan.send(outcome) if failure is None else plan.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome, failure = None, None
            try:
                outcome = self._perform(step)
            # Whether a step may fail is for the plan to say.
            except BaseException as error:
                failure = error

    def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                options = step.options
                if step.file is not None:
                    options = {**options, "content": step.file}
                return self._client.request(step.method, PREFIX + step.path, **options)
            case Receive():
                return self._receive(step)
            case Pause():
                return time.sleep(step.seconds)
            case Work():
                return step.act()

    def _receive(self, step: Receive) -> httpx.Response:
        with self._client.stream("GET", PREFIX + step.path) as answer:
            if answer.is_error:
                answer.read()
            else:
                for part in answer.iter_bytes(PART_BYTES):
                    step.write(part)
            return answer

    def send(self, method: str, path: str, *, may_repeat: bool = False, **options: Any) -> httpx.Response:
        """Return the server's answer to one request under /api/v1.

        Args:
            method: GET, POST, ...
            path: Behind /api/v1.
            may_repeat: Whether the request may be sent again when no answer came.
            options: As `httpx.Client.request` takes them.

        Raises:
            Refused: The server answered with an error.
            Unreachable: No answer came.
        """
        return self.run(exchange(Request(method, path, may_repeat, options)))

    def stream(
        self, path: str, headers: dict[str, str], read_timeout_s: float
    ) -> AbstractContextManager[httpx.Response]:
        """Open an answer to be read piece by piece: `with connection.stream(...) as answer`."""
        timeout = httpx.Timeout(TIMEOUT.connect, read=read_timeout_s)
        return self._client.stream("GET", PREFIX + path, headers=headers, timeout=timeout)

    def download(self, path: str, sha256: str, target: Path, max_bytes: int = CACHE_BYTES) -> Path:
        """Return `target`, which holds the file of this sha256: the copy that is there, or a fresh one.

        Args:
            path: Behind /api/v1.
            sha256: What the file must hold.
            target: Processes that want the same one wait for the first of them.
            max_bytes: What files in the target's folder may take; the least recently used go first.

        Raises:
            Damaged: What came has another sha256, twice; nothing is kept.
            NoRoom: This machine's disk is full.
        """
        cache = NodeCache(target.parent, max_bytes)
        try:
            return cache.path(target.name, sha256, lambda stream: self.run(received(path, stream.write)))
        except DamagedFile as error:
            raise Damaged(f"{path}: {error}") from error
        except Unavailable as error:
            raise NoRoom(str(error)) from error


class AsyncConnection:
    """`Connection` for an event loop: the same plans, awaited."""

    def __init__(self, server: str, token: str | None) -> None:
        self.server = redacted(server)
        try:
            self._client = httpx.AsyncClient(**_options(server, token))
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{self.server!r} is no address: {error}") from error

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def run(self, plan: Plan[Outcome]) -> Outcome:
        """Return what a plan comes to; whoever else runs on the loop goes on meanwhile."""
        failure: BaseException | None = None
        outcome: Any = None
        while True:
            try:
                step = plan.send(outcome) if failure is None else plan.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome, failure = None, None
            try:
                outcome = await self._perform(step)
            except BaseException as error:
                failure = error

    async def _perform(self, step: Step) -> Any:
        match step:
            case Request():
                options = step.options
                if step.file is not None:
                    options = {**options, "content": _parts(step.file)}
                return await self._client.request(step.method, PREFIX + step.path, **options)
            case Receive():
                return await self._receive(step)
            case Pause():
                return await anyio.sleep(step.seconds)
            case Work():
                return await run_sync(step.act)

    async def _receive(self, step: Receive) -> httpx.Response:
        async with self._client.stream("GET", PREFIX + step.path) as answer:
            if answer.is_error:
                await answer.aread()
            else:
                async for part in answer.aiter_bytes(PART_BYTES):
                    await run_sync(step.write, part)
            return answer


def received(path: str, write: Callable[[bytes], object]) -> Plan[None]:
    """Take a stored file part by part.

    Raises:
        Refused: The server does not give it.
        Unreachable: It did not come, or broke off.
    """
    try:
        answer: httpx.Response = yield Receive(path, write)
    except httpx.TransportError as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    if answer.is_error:
        raise Refused(problem_in(answer))


def _options(server: str, token: str | None) -> dict[str, Any]:
    conceal(token)
    return {
        "base_url": server.rstrip("/"),
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "timeout": TIMEOUT,
        "limits": LIMITS,
        # A proxy for the outside has no business between processes of one machine.
        "trust_env": not is_loopback(server),
        **_without_certificates(server),
    }


def _without_certificates(server: str) -> dict[str, Any]:
    """Return options that spare a plain connection the 20 ms of loading what TLS would be judged by.

    A redirection to TLS is not followed anyway, and would trust nobody.
    """
    is_plain = server.startswith("http://")
    return {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)} if is_plain else {}


async def _parts(file: BinaryIO) -> AsyncIterator[bytes]:
    while part := await run_sync(file.read, PART_BYTES):
        yield part


def is_address(server: str) -> bool:
    """Whether a text could be the address of a server: http or https, and a host."""
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_loopback(server: str) -> bool:
    """Whether an address is of this machine itself."""
    try:
        return urlsplit(server).hostname in LOOPBACK
    except ValueError:
        return False
