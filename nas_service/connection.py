"""One server over HTTP, for the client and for remote workers: pooled connections, and errors told apart."""

import logging
import random
import re
import time
from contextlib import AbstractContextManager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from nas_service.errors import DamagedFile, Unavailable
from nas_service.logs import REQUEST_ID_HEADER, about, new_request_id, request_id
from nas_service.node_cache import NodeCache
from nas_service.problems import Problem
from nas_service.redaction import conceal, redacted

log = logging.getLogger(__name__)
PREFIX = "/api/v1"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Servers close idle connections after five seconds; letting go earlier avoids writing into a closed one.
LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=4.0)
ATTEMPTS = 3
SHA256 = re.compile(r"[0-9a-f]{64}")
CACHE_BYTES = 20 * 1000**3
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


class Unreachable(Exception):
    """No answer came, or none that this server would give."""


class Damaged(Exception):
    """A downloaded file is not the one that was asked for."""


class NoRoom(Exception):
    """This machine cannot keep what it was to download."""


class Connection:
    """Requests to one server.

    Args:
        server: Its address, "http://host:8000".
        token: Sent with every request.
    """

    def __init__(self, server: str, token: str | None) -> None:
        # As it may be shown.
        self.server = redacted(server)
        conceal(token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._client = httpx.Client(
                base_url=server.rstrip("/"),
                headers=headers,
                timeout=TIMEOUT,
                limits=LIMITS,
                # A proxy for the outside has no business between processes of one machine.
                trust_env=not is_loopback(server),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable(f"{self.server!r} is no address: {error}") from error

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()

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
        for attempt in range(ATTEMPTS if may_repeat else 1):
            if attempt:
                time.sleep(random.uniform(0.1, 0.3) * 3 ** (attempt - 1))
            try:
                answer = self._request(method, path, **options)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                failure: Exception = Unreachable(redacted(str(error)) or type(error).__name__)
                continue
            if answer.status_code < HTTPStatus.BAD_REQUEST:
                return answer
            failure = Refused(problem_in(answer))
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
        raise failure

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request under an id that the server's log will name, too."""
        identity = request_id() or new_request_id()
        headers = {**options.pop("headers", {}), REQUEST_ID_HEADER: identity}
        with about(request_id=identity):
            try:
                answer = self._client.request(method, PREFIX + path, headers=headers, **options)
            except httpx.TransportError as error:
                log.info("%s %s: no answer (%s)", method, path, type(error).__name__)
                raise
            level = logging.INFO if answer.is_error else logging.DEBUG
            log.log(level, "%s %s: %d", method, path, answer.status_code)
            return answer

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
            return cache.path(target.name, sha256, lambda stream: self._receive(path, stream))
        except DamagedFile as error:
            raise Damaged(f"{path}: {error}") from error
        except Unavailable as error:
            raise NoRoom(str(error)) from error

    def _receive(self, path: str, stream: BinaryIO) -> None:
        try:
            with self._client.stream("GET", PREFIX + path) as answer:
                if answer.is_error:
                    answer.read()
                    raise Refused(problem_in(answer))
                for part in answer.iter_bytes(1024 * 1024):
                    stream.write(part)
        except httpx.TransportError as error:
            raise Unreachable(str(error) or type(error).__name__) from error


def problem_in(answer: httpx.Response) -> Problem:
    """Return the problem that an answer holds; one made up from its status where it holds none."""
    with suppress(ValidationError, UnicodeDecodeError):
        return Problem.model_validate_json(answer.content)
    detail = f"{redacted(str(answer.request.url))} answered {answer.status_code} {answer.reason_phrase}"
    return Problem(type="about:blank", title=answer.reason_phrase, status=answer.status_code, detail=detail)


def is_loopback(server: str) -> bool:
    """Whether an address is of this machine itself."""
    try:
        return urlsplit(server).hostname in LOOPBACK
    except ValueError:
        return False
