"""What is said to a server, without a transport: a plan yields steps and is told what came of each.

A plan is a generator. `Connection.run` performs its steps one after another, `AsyncConnection.run` awaits
them, so that whatever asks a server is written once:

    answer = yield from exchange(Request("GET", "/studies/1", may_repeat=True))
"""

import logging
import random
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import ValidationError

from nas_service.logs import REQUEST_ID_HEADER, about, new_request_id, request_id
from nas_service.problems import Problem
from nas_service.redaction import redacted

log = logging.getLogger(__name__)
PREFIX = "/api/v1"
ATTEMPTS = 3
# The same request may be answered a moment later.
PASSING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
# A server that wants more patience than this is left to the caller.
MOST_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for an answer; the outcome is an `httpx.Response`, or an `httpx.TransportError` is raised."""

    method: str
    # Behind /api/v1.
    path: str
    # Whether it may be sent again where no answer came.
    may_repeat: bool = False
    # As `httpx.Client.request` takes them: params, json, content, headers, timeout.
    options: Mapping[str, Any] = field(default_factory=dict)
    # The body, where it is a file.
    file: BinaryIO | None = None

    def under(self, identity: str) -> "Request":
        """Return the same request with an id that the server's log will name, too."""
        headers = {**self.options.get("headers", {}), REQUEST_ID_HEADER: identity}
        return replace(self, options={**self.options, "headers": headers})


@dataclass(frozen=True, slots=True)
class Receive:
    """Take a long answer part by part; the outcome is the answer without its content."""

    path: str
    # Takes the content part by part.
    write: Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Do what may take its time on this machine, such as packing a folder; the outcome is what it returns."""

    act: Callable[[], Any]


Step = Request | Receive | Pause | Work
Outcome = TypeVar("Outcome")
Plan = Generator[Step, Any, Outcome]


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


class Unreachable(Exception):
    """No answer came, or none that this server would give."""


def exchange(request: Request) -> Plan[httpx.Response]:
    """Return the server's answer to one request; what may be repeated is tried three times, with jitter.

    Raises:
        Refused: The server answered with an error.
        Unreachable: No answer came.
    """
    failure: Refused | Unreachable = Unreachable("nothing was asked")
    for attempt in range(ATTEMPTS if request.may_repeat else 1):
        if attempt:
            yield Pause(_patience_s(attempt, failure))
        identity = request_id() or new_request_id()
        try:
            answer: httpx.Response = yield request.under(identity)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            failure = _no_answer(request, error, identity)
            continue
        _note(request, answer, identity)
        if not answer.is_error:
            return answer
        failure = Refused(problem_in(answer))
        if answer.status_code not in PASSING or _asks_for(failure) > MOST_PATIENCE_S:
            break
    raise failure


def _patience_s(attempt: int, failure: Refused | Unreachable) -> float:
    """Return the seconds to wait before a further attempt; never two clients the same."""
    own = random.uniform(0.1, 0.3) * 3.0 ** (attempt - 1)
    asked = _asks_for(failure) if isinstance(failure, Refused) else 0.0
    return max(own, asked * random.uniform(1.0, 1.2))


def _asks_for(failure: Refused) -> float:
    return failure.problem.retry_after_s or 0.0


def _no_answer(request: Request, error: Exception, identity: str) -> Unreachable:
    with about(request_id=identity):
        log.info("%s %s: no answer (%s)", request.method, request.path, type(error).__name__)
    return Unreachable(redacted(str(error)) or type(error).__name__)


def _note(request: Request, answer: httpx.Response, identity: str) -> None:
    with about(request_id=identity):
        level = logging.INFO if answer.is_error else logging.DEBUG
        log.log(level, "%s %s: %d", request.method, request.path, answer.status_code)


def problem_in(answer: httpx.Response) -> Problem:
    """Return the problem that an answer holds; one made up from its status where it holds none."""
    asked = answer.headers.get("Retry-After", "")
    patience = float(asked) if asked.isascii() and asked.isdigit() else None
    with suppress(ValidationError, UnicodeDecodeError):
        problem = Problem.model_validate_json(answer.content)
        return problem.model_copy(update={"retry_after_s": patience})
    detail = f"{redacted(str(answer.request.url))} answered {answer.status_code} {answer.reason_phrase}"
    return Problem(
        type="about:blank",
        title=answer.reason_phrase,
        status=answer.status_code,
        detail=detail,
        retry_after_s=patience,
    )
