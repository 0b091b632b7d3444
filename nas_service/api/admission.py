"""Who asks, by the token or session that is shown, and whether that is enough for a policy."""

import hmac
from urllib.parse import parse_qs, quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import Receive

from nas_service.access import Role, allows
from nas_service.api.actor import LOCAL, Actor
from nas_service.api.auth import Access, bearer_token, cookie_name
from nas_service.api.binding import is_loopback
from nas_service.api.bodies import FORM, media_type, read_at_most, replayed
from nas_service.api.errors import refusal, respond
from nas_service.api.limits import FailedAttempts
from nas_service.api.policy import Policy
from nas_service.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
MAX_FORM_BYTES = 1024 * 1024
# Wrong tokens a minute; the login page counts its own.
TOKENS_PER_ADDRESS, TOKENS_OVERALL = 60, 1000


class Refusal(Exception):
    """The request is answered without asking any route."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status_code)


def is_open(settings: Settings) -> bool:
    """Whether who comes without a token may do what the policies do not keep for tokens."""
    # Named hosts mean a proxy in front: loopback no longer says who asks.
    has_names = any(name.strip() for name in settings.allowed_hosts.split(","))
    return is_loopback(settings.host) and not has_names and not settings.behind_proxy


class Admission:
    """Lets requests in, or raises `Refusal`."""

    def __init__(self, settings: Settings) -> None:
        self._is_open = is_open(settings)
        self._failed = FailedAttempts(TOKENS_PER_ADDRESS, TOKENS_OVERALL)

    async def actor(self, request: Request, policy: Policy) -> Actor | None:
        """Return who asks; None where the policy lets anybody in."""
        if policy.role is None:
            return None
        try:
            actor = await self._shown(request, policy)
        except SQLAlchemyError as error:
            raise refused(503, "the database does not answer; try again", name="unavailable") from error
        if actor is None and self._is_open and not policy.needs_token:
            actor = LOCAL
        if actor is None:
            raise Refusal(_please_log_in(request, policy))
        if not allows(actor.role, policy.role):
            raise Refusal(_wrong_role(request, policy.role, actor))
        return actor

    async def _shown(self, request: Request, policy: Policy) -> Actor | None:
        access: Access = request.app.state.access
        token = bearer_token(request)
        if token is not None:
            return await self._bearer(request, access, token)
        session = request.cookies.get(cookie_name(request))
        # What a browser sends by itself is no word of a worker.
        if session is None or policy.role is Role.worker:
            return None
        return await access.admit("session", session)

    async def _bearer(self, request: Request, access: Access, token: str) -> Actor:
        address = address_of(request)
        # One that was good a while ago is looked up, whoever else guesses from its address.
        wait_s = 0 if access.has_admitted(token) else self._failed.address_waits_s(address)
        if wait_s:
            raise try_later(wait_s)
        actor = await access.admit("token", token)
        if actor is None:
            self._failed.note(address)
            if wait_s := self._failed.all_wait_s():
                raise try_later(wait_s)
            raise refused(401, f"the token is unknown, revoked or expired; {_how_to_get('ROLE')}")
        return actor


def address_of(request: Request) -> str:
    """Return where a request comes from: the address that dialled, or what a trusted proxy says."""
    return request.client.host if request.client else ""


def refused(status: int, detail: str, *, name: str | None = None) -> Refusal:
    """Return a refusal as problem+json."""
    return Refusal(respond(refusal(status, detail, name=name)))


def try_later(wait_s: int) -> Refusal:
    """Return the refusal of somebody who failed too often."""
    problem = refusal(429, f"too many failed attempts; try again in {wait_s} s")
    return Refusal(respond(problem, {"Retry-After": str(wait_s)}))


async def checked_csrf(request: Request, actor: Actor) -> Receive:
    """Refuse a change that a browser sends by its cookie without what only our own pages know.

    It stands in a header, or in a field of a plain form; returned is what the route is to read the body from.
    """
    shown, receive = request.headers.get(CSRF_HEADER), request.receive
    if shown is None and media_type(request) == FORM:
        try:
            body = b"".join([part async for part in read_at_most(request, MAX_FORM_BYTES)])
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
        except HTTPException as error:
            raise refused(error.status_code, str(error.detail)) from error
        except ValueError as error:
            raise refused(422, "the form has too many fields", name="invalid-input") from error
        shown, receive = fields.get(CSRF_FIELD, [""])[0], replayed(body, request.receive)
    if shown is None or not hmac.compare_digest(shown.encode(), actor.csrf.encode()):
        raise refused(403, "a change needs the page's X-CSRF-Token; load the page again", name="forbidden")
    return receive


def _please_log_in(request: Request, policy: Policy) -> Response:
    if _wants_page(request):
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = quote(f"{request.url.path}{query}", safe="/")
        return RedirectResponse(f"/login?next={wanted}", status_code=303)
    role = policy.role.value if policy.role else "ROLE"
    detail = f"a token is needed: 'Authorization: Bearer ...', NAS_TOKEN or --token-file; {_how_to_get(role)}"
    return respond(refusal(401, detail, name="access-denied"))


def _wrong_role(request: Request, needed: Role, actor: Actor) -> Response:
    detail = f"this needs the role {needed}; the token {actor.name!r} is of role {actor.role}; "
    detail += _how_to_get(needed)
    if _wants_page(request):
        # Imported late: pages know the API, not the other way round.
        from nas_service.dashboard.rendering import error_page

        return error_page(403, detail, request)
    return respond(refusal(403, detail))


def _how_to_get(role: str) -> str:
    return f"an admin makes one with: nas token create --role {role} --name NAME"


def _wants_page(request: Request) -> bool:
    accepts = "text/html" in request.headers.get("accept", "")
    return request.method == "GET" and accepts and not request.url.path.startswith("/api/")
