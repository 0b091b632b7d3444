"""The way in for browsers: a token opens a session, known by a random cookie that is not the token."""

import html

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nas_service.access import Role
from nas_service.api.actor import Actor
from nas_service.api.admission import address_of, is_open, try_later
from nas_service.api.auth import Access, cookie_name
from nas_service.api.bodies import FormRoute
from nas_service.api.limits import FailedAttempts
from nas_service.store import tokens
from nas_service.store.engine import writing

router = APIRouter(route_class=FormRoute, include_in_schema=False)

# Failed logins a minute.
LOGINS_PER_ADDRESS, LOGINS_OVERALL = 10, 100
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in</title>
<link rel="stylesheet" href="/static/base.css"><link rel="stylesheet" href="/static/parts.css">
<link rel="stylesheet" href="/static/form.css"></head>
<body><main><section class="panel"><h1>Log in</h1>
<p>{why} An admin makes one with
<code>nas token create --role viewer --name NAME</code>; the
first one stands in the file <code>token</code> of the server's data folder.</p>
{complaint}
<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button class="button primary" type="submit">Log in</button></p>
</form>{back}</section></main></body></html>
"""
# What the page says where a token is needed for everything, and where this machine is let in without one.
CLOSED = "This server asks for a token."
OPEN = "On this machine no token is needed, except to administer tokens; who shows one has its role."
BACK = '<p><a href="/studies">Back to the studies</a></p>'


def failed_logins() -> FailedAttempts:
    """Return a new count of failed logins, one for each application."""
    return FailedAttempts(LOGINS_PER_ADDRESS, LOGINS_OVERALL)


@router.get("/login")
async def login_page(request: Request) -> Response:
    return _page(request, request.query_params.get("next", "/"))


@router.post("/login")
async def login(request: Request) -> Response:
    failed: FailedAttempts = request.app.state.failed_logins
    address = address_of(request)
    if wait_s := max(failed.address_waits_s(address), failed.all_wait_s()):
        # What was turned away unread is nothing for the audit log, which a guesser could fill.
        request.state.is_audited = False
        return try_later(wait_s).response
    async with request.form(max_files=0, max_fields=5) as form:
        token, target = str(form.get("token", "")).strip(), str(form.get("next", "/"))
    access: Access = request.app.state.access
    actor = await access.admit("token", token)
    if actor is None:
        failed.note(address)
        return _page(request, target, complaint="This is no token of this server, or no longer.", status=401)
    request.state.actor = actor
    if actor.role is Role.worker:
        return _page(
            request, target, complaint="A worker's token opens no page; take a viewer's.", status=403
        )
    return await _opened(request, actor, target)


@router.post("/logout")
async def logout(request: Request) -> Response:
    actor: Actor = request.state.actor
    session = request.cookies.get(cookie_name(request))
    if session is not None:
        engine = request.app.state.service.engine

        def close() -> None:
            with writing(engine) as connection:
                tokens.close_session(connection, session)

        await run_in_threadpool(close)
        request.app.state.access.forget(actor)
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(
        cookie_name(request), httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


async def _opened(request: Request, actor: Actor, target: str) -> Response:
    engine, token_id = request.app.state.service.engine, actor.token_id
    assert token_id is not None

    def open_session() -> tuple[str, int]:
        with writing(engine) as connection:
            secret, lasts = tokens.open_session(connection, token_id)
        return secret, int(lasts.total_seconds())

    secret, lasts_s = await run_in_threadpool(open_session)
    answer = RedirectResponse(_inside(target), status_code=303)
    answer.set_cookie(
        cookie_name(request),
        secret,
        max_age=lasts_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _page(request: Request, target: str, *, complaint: str = "", status: int = 200) -> Response:
    said = f'<p role="alert" class="wrong">{html.escape(complaint)}</p>' if complaint else ""
    why, back = (OPEN, BACK) if is_open(request.app.state.settings) else (CLOSED, "")
    content = PAGE.format(next=html.escape(_inside(target)), complaint=said, why=why, back=back)
    return HTMLResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def _inside(target: str) -> str:
    """Return an address of this server: a login must not lead to another's."""
    is_inside = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_inside and target.isprintable() else "/"
