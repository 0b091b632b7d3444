"""Server-sent events as a client reads them, across broken connections."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from nas_service.connection import Connection
from nas_service.exchange import Refused, Unreachable, problem_in

# The server says something every 15 seconds; a stream silent for longer is dead.
SILENCE_S = 40.0
RETRY_S = 1.0
# A server that restarts is back well within this.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream."""

    # "snapshot", or "message" for an entry of the event list.
    kind: str
    sequence: int | None
    data: dict[str, Any]


def frames(connection: Connection, path: str, after: int | None = None) -> Iterator[Frame]:
    """Yield a stream's events without end; after a break it goes on behind the last one.

    Args:
        connection: To the server.
        path: Behind /api/v1.
        after: The sequence to go on behind, of an earlier reading; the present where it is None.

    Raises:
        Refused: The server does not give this stream.
        Unreachable: Nothing answers, at first or for a minute.
    """
    last = after
    heard_at = time.monotonic()
    while True:
        try:
            for frame in _until_broken(connection, path, last):
                last = frame.sequence if frame.sequence is not None else last
                heard_at = time.monotonic()
                yield frame
        except Unreachable:
            if last is None or time.monotonic() - heard_at > PATIENCE_S:
                raise
        time.sleep(RETRY_S)


def _until_broken(connection: Connection, path: str, last: int | None) -> Iterator[Frame]:
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    try:
        with connection.stream(path, headers, SILENCE_S) as answer:
            if answer.is_error:
                answer.read()
                problem = problem_in(answer)
                if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    raise Unreachable(problem.detail)
                raise Refused(problem)
            yield from parse(answer.iter_lines())
    except httpx.TransportError as error:
        raise Unreachable(str(error) or type(error).__name__) from error


def parse(lines: Iterable[str]) -> Iterator[Frame]:
    """Yield the events that lines of text/event-stream hold; comments and unknown fields are skipped."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                sequence = int(fields["id"]) if fields.get("id", "").isdigit() else None
                yield Frame(fields.get("event", "message"), sequence, json.loads(fields["data"]))
            fields = {}
