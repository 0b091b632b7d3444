"""The way in for browsers when the server can be reached from elsewhere: the token becomes a cookie."""

import html

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nas_service.api.auth import COOKIE
from nas_service.api.bodies import FormRoute

router = APIRouter(route_class=FormRoute, include_in_schema=False)

COOKIE_S = 30 * 24 * 3600
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in</title>
<link rel="stylesheet" href="/static/base.css"><link rel="stylesheet" href="/static/parts.css">
<link rel="stylesheet" href="/static/form.css"></head>
<body><main><section class="panel"><h1>Log in</h1>
<p>This server asks for its token. It stands in the file <code>token</code> of the server's data folder.</p>
{complaint}
<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button class="button primary" type="submit">Log in</button></p>
</form></section></main></body></html>
"""


@router.get("/login")
async def login_page(request: Request) -> Response:
    return _page(request.query_params.get("next", "/"))


@router.post("/login")
async def login(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=5) as form:
        token, target = str(form.get("token", "")).strip(), str(form.get("next", "/"))
    if not await request.app.state.access.admits(token):
        return _page(target, complaint="This is not a token of this server.", status=401)
    answer = RedirectResponse(_inside(target), status_code=303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _page(target: str, *, complaint: str = "", status: int = 200) -> Response:
    said = f'<p role="alert" class="wrong">{html.escape(complaint)}</p>' if complaint else ""
    content = PAGE.format(next=html.escape(_inside(target)), complaint=said)
    return HTMLResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def _inside(target: str) -> str:
    """Return an address of this server: a login must not lead to another's."""
    is_inside = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_inside and target.isprintable() else "/"
