"""What every request must pass before anything else: its host and origin. And headers on every answer.

The rules hold on loopback too, since any web page a person visits can send requests there.
"""

import ipaddress
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas_service.api.admission import SAFE_METHODS
from nas_service.api.errors import refusal, respond, unexpected
from nas_service.settings import Settings

log = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """Middleware that lets nothing through but what its rules name."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._names = LOOPBACK_NAMES | named | {settings.host.lower()}
        self._is_wildcard = settings.host in ("0.0.0.0", "::")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        try:
            refused = self._refused(request)
            await (refused or self._app)(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.info("the client left before its request was read")
        except Exception as error:
            answer = respond(unexpected(error))
            if not started:
                await answer(scope, receive, send_with_headers)

    def _refused(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_known(host):
            return respond(
                refusal(400, "the Host header names no host of this server (see NAS_ALLOWED_HOSTS)")
            )
        if request.method not in SAFE_METHODS and _comes_from_elsewhere(request, host):
            return respond(refusal(403, "a page of another origin sent this request"))
        return None

    def _is_known(self, host: str) -> bool:
        name = _host_name(host)
        if name in self._names:
            return True
        # A rebinding attack needs a name; an address in Host is the address that was dialled.
        return self._is_wildcard and _is_address(name)


def _comes_from_elsewhere(request: Request, host: str) -> bool:
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and not _is_of(origin, host, request.url.scheme)


def _is_of(origin: str, host: str, scheme: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # Behind a proxy whose headers are not trusted a page of https is taken for one of http: that is let pass.
    is_weaker = scheme == "https" and parts.scheme != "https"
    return parts.netloc.lower() == host.lower() and not is_weaker


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
