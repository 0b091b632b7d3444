"""One request of the interface as typed data, and what it takes to have it answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from nas_service.errors import ServiceError
from nas_service.exchange import Plan, Refused, Request, exchange
from nas_service.problems import service_error

Answer = TypeVar("Answer")
Item = TypeVar("Item")
# Reading and checking a large data set takes its time.
UPLOAD_TIMEOUT = httpx.Timeout(900.0, connect=5.0)


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request, and the kind of its answer."""

    answer: type[Answer]
    method: str
    # Behind /api/v1.
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    # What becomes the JSON body; None where there is none.
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    # Whether it may be sent again where no answer came: reading always may.
    may_repeat: bool = False
    file: BinaryIO | None = None

    def request(self) -> Request:
        """Return what is sent."""
        options: dict[str, Any] = {"params": given(self.query), "headers": dict(self.headers)}
        if self.body is not None:
            options["json"] = self.body
        if self.file is not None:
            options["timeout"] = UPLOAD_TIMEOUT
        return Request(self.method, self.path, self.may_repeat, options, self.file)


class Feed(Protocol[Item]):
    """What comes piece by piece: pages of a listing, or news."""

    def more(self) -> Plan[list[Item] | None]:
        """Return the next items, perhaps none yet; None behind the last."""


def get(answer: type[Answer], path: str, **query: Any) -> Call[Answer]:
    """Return a call that only reads."""
    return Call(answer, "GET", path, query, may_repeat=True)


def ask(call: Call[Answer]) -> Plan[Answer]:
    """Return a call's answer.

    Raises:
        ServiceError: The server refused; each type of problem has an exception of its own.
        Unreachable: No answer came.
    """
    try:
        answer = yield from exchange(call.request())
    except Refused as error:
        raise service_error(error.problem) from error
    if call.answer is type(None):
        return None
    try:
        return TypeAdapter(call.answer).validate_json(answer.content)
    except ValidationError as error:
        raise ServiceError(f"{answer.request.url} gave an answer that is none of this service") from error


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given: None stands for nothing."""
    return {name: value for name, value in values.items() if value is not None}


def segment(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")
