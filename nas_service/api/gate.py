"""What every request must pass before its route sees it: the route's policy, who asks, and how much at once.

Nothing of a body is read before its sender is let in. It stands behind `Guard`, which looks at hosts and
origins, and in front of all routes, mounts and streams.
"""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nas_service.api.actor import Actor, current_actor
from nas_service.api.admission import (
    SAFE_METHODS,
    Admission,
    Refusal,
    address_of,
    checked_csrf,
    refused,
)
from nas_service.api.auditing import recorded
from nas_service.api.limits import Places
from nas_service.api.policy import NOWHERE, Place, Policy
from nas_service.api.streams import until_shut_out
from nas_service.settings import Settings


class Gate:
    """Middleware that lets a request through to a route only as the route's policy says."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._admission = Admission(settings)
        self._places = Places(settings.max_streams_each)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        place: Place | None = request.app.state.policies.find(request.method, request.url.path)
        try:
            policy = _policy_of(place)
            actor = await self._admission.actor(request, policy)
            if actor is not None and actor.is_session and request.method not in SAFE_METHODS:
                receive = await checked_csrf(request, actor)
        except Refusal as refusal:
            await refusal.response(scope, receive, send)
            return
        request.state.route = place.route if place is not None else None
        request.state.actor = actor
        before = current_actor.set(actor)
        try:
            await self._pass(request, policy, receive, send)
        finally:
            current_actor.reset(before)

    async def _pass(self, request: Request, policy: Policy, receive: Receive, send: Send) -> None:
        if policy.is_stream:
            await self._pass_stream(request, receive, send)
        elif policy.action is not None:
            async with recorded(request, policy.action, send) as recorded_send:
                await self._app(request.scope, receive, recorded_send)
        else:
            await self._app(request.scope, receive, send)

    async def _pass_stream(self, request: Request, receive: Receive, send: Send) -> None:
        actor: Actor = request.state.actor
        holder = actor.token_id or address_of(request)
        if not self._places.has_room(holder):
            full = refused(429, "too many streams are open with this token, or from this address without one")
            await full.response(request.scope, receive, send)
            return
        access = request.app.state.access
        with self._places.place(holder):
            is_still_good = None if actor.credential is None else lambda: access.is_still_good(actor)
            await until_shut_out(self._app, request.scope, receive, send, is_still_good)


def _policy_of(place: Place | None) -> Policy:
    if place is None:
        return NOWHERE
    if place.policy is None:
        raise refused(403, f"{place.name} stands in no policy: nobody is let in")
    return place.policy
