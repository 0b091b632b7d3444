"""What a request's body may be: its kind and size are checked before a byte of it is parsed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from nas_service.api.masks import masked

JSON = "application/json"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
OCTETS = "application/octet-stream"
FORM = "application/x-www-form-urlencoded"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def media_type(request: Request) -> str:
    """Return the body's media type without parameters; empty where none is named."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def has_body(request: Request) -> bool:
    """Whether the request announces a body."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


class JsonRoute(APIRoute):
    """A route whose body, if any, is JSON of bounded size."""

    media_types: ClassVar[tuple[str, ...]] = (JSON,)
    max_body_bytes: ClassVar[int] = 1024 * 1024

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            await self.admit(request)
            return await self.answered(await self.bounded(request), handle)

        return admitted

    async def answered(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Return what the route answers a request that was admitted."""
        return masked(request, await handle(request))

    async def admit(self, request: Request) -> None:
        """Refuse a body of a wrong kind."""
        if has_body(request) and media_type(request) not in self.media_types:
            kinds = " or ".join(self.media_types)
            raise HTTPException(415, f"the body must be {kinds}, not {media_type(request) or 'unnamed'}")

    async def bounded(self, request: Request) -> Request:
        """Return the same request with its body read, at most `max_body_bytes` of it."""
        if not has_body(request):
            return request
        parts = [part async for part in read_at_most(request, self.max_body_bytes)]
        return Request(request.scope, replayed(b"".join(parts), request.receive))


class SpecRoute(JsonRoute):
    """A route that takes a study's spec: JSON or YAML."""

    media_types = (JSON, *YAML_TYPES)


class UploadRoute(JsonRoute):
    """A route whose handler streams the body itself, by `read_at_most`."""

    media_types = (OCTETS, "multipart/form-data")

    async def bounded(self, request: Request) -> Request:
        return request


class FormRoute(JsonRoute):
    """A route of a plain HTML form."""

    media_types = (FORM,)
    max_body_bytes = 16 * 1024


class WorkerRoute(JsonRoute):
    """A route of the ledger, whose policy demands a bearer token, also on loopback."""

    # Proposals come many at once, each with its distributions.
    max_body_bytes = 16 * 1024 * 1024


class ArtifactRoute(WorkerRoute):
    """A route of the ledger that takes a file."""

    media_types = (OCTETS,)

    async def bounded(self, request: Request) -> Request:
        return request


async def read_at_most(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body's parts; raises 413 once more than `limit` bytes are announced or sent."""
    announced = request.headers.get("content-length", "")
    total = int(announced) if announced.isdigit() else 0
    if total > limit:
        raise HTTPException(413, f"the body has {total} bytes; at most {limit} are taken")
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > limit:
            raise HTTPException(413, f"the body has more than {limit} bytes")
        yield part


def limited(request: Request, limit: int) -> Request:
    """Return the same request, whose body raises 413 as in `read_at_most`; for a form with files."""
    parts = read_at_most(request, limit)

    async def receive() -> Message:
        part = await anext(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    return Request(request.scope, receive)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
