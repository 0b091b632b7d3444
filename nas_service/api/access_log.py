"""The outermost middleware: gives each request an id, counts it, and logs how it was answered.

What is logged of an address is its route's template alone: paths and queries hold what people typed.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service.api import PREFIX
from nas_service.api.telemetry import Requests
from nas_service.logs import REQUEST_ID_HEADER, about, checked_request_id, new_request_id

log = logging.getLogger("nas.access")
# The template of a request that no route took: refused before, or nothing is there.
NO_ROUTE = "-"
# Asked for again and again by probes and idle workers: told only where they fail, or at NAS_LOG_LEVEL=debug.
FREQUENT = frozenset(
    {
        "/healthz",
        "/readyz",
        "/metrics",
        "/static",
        f"{PREFIX}/leases:acquire",
        f"{PREFIX}/leases/{{trial_id}}:heartbeat",
        f"{PREFIX}/studies/{{study_id}}/changes",
        f"{PREFIX}/measurements:acquire",
        f"{PREFIX}/measurements:known",
    }
)
# What a path names, by the log's name for it.
NAMED = {"study": "study_id", "trial": "trial_id", "worker": "worker_id"}


class AccessLog:
    """Logs and counts what the application answers.

    Args:
        app: The application.
        requests: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the request's id in the answer's head."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER)
        request_id = checked_request_id(given) or new_request_id()
        # As `request.state.request_id` for handlers.
        scope.setdefault("state", {})["request_id"] = request_id
        with about(partial(_named, scope), request_id=request_id):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        # Where nobody is left to answer, nothing is sent; proxies write 499 for it.
        answer: dict[str, Any] = {"status": 499, "is_stream": False}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                kind = headers.get("content-type", "")
                answer.update(status=message["status"], is_stream=kind.startswith("text/event-stream"))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._note(scope, answer, time.perf_counter() - started)

    def _note(self, scope: Scope, answer: Mapping[str, Any], seconds: float) -> None:
        route, status = template_of(scope), answer["status"]
        self._requests.count(scope["method"], route, status, seconds=None if answer["is_stream"] else seconds)
        is_quiet = route in FREQUENT and status < 400
        fields = {"method": scope["method"], "route": route, "status": status, "ms": round(1e3 * seconds, 1)}
        # Whoever was let in, once access control has found out.
        actor = getattr(scope["state"].get("actor"), "name", None)
        log.log(
            logging.DEBUG if is_quiet else logging.INFO,
            "%s %s %d",
            scope["method"],
            route,
            status,
            extra={"fields": {**fields, **({"actor": actor} if actor else {})}},
        )


def template_of(scope: Scope) -> str:
    """Return the template of the route that took a request, "/api/v1/studies/{study_id}"; "-" without one."""
    route = scope.get("route")
    if route is not None:
        template = str(getattr(route, "path_format", NO_ROUTE))
        # A route of an included router knows its own part of the path.
        is_below = scope["path"].startswith(f"{PREFIX}/") and not template.startswith(f"{PREFIX}/")
        return PREFIX + template if is_below else template
    return scope.get("root_path") or NO_ROUTE


def _named(scope: Scope) -> dict[str, object]:
    """Return the study, trial and worker that the path names, once its route is found."""
    found: dict[str, object] = {}
    for name, parameter in NAMED.items():
        with suppress(KeyError, TypeError, ValueError):
            found[name] = int(scope["path_params"][parameter])
    return found
