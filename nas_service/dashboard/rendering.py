"""Templates to responses: every name is escaped, and errors become pages in words."""

import json
from collections.abc import Callable, Coroutine
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from nas_service.api.actor import current_actor
from nas_service.api.bodies import FormRoute
from nas_service.api.errors import on_http, unexpected
from nas_service.dashboard import plotly_script, wording
from nas_service.dashboard.pace import time_left_text
from nas_service.errors import ServiceError, dotted
from nas_service.logs import request_id
from nas_service.problems import RETRY_AFTER_S, RETRY_STATUSES, cause_of
from nas_service.redaction import redacted
from nas_service.studies import ACTIVE_STATES
from nas_service.yaml_text import yaml_text
from search_spaces.errors import SearchSpaceError

_TITLES: dict[int, str] = {HTTPStatus.UNPROCESSABLE_ENTITY: "This address cannot be answered"}
# Where to go from an address below which there is nothing.
_WAYS = {"datasets": ("/datasets", "All data sets"), "families": ("/families", "All families")}


def render(template: str, *, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """A template as an answer that is never cached: pages show the present."""
    content = _environment().get_template(template).render(values)
    later = {"Retry-After": str(RETRY_AFTER_S)} if status in RETRY_STATUSES else {}
    return HTMLResponse(content, status_code=status, headers={"Cache-Control": "no-store", **later})


class PageRoute(APIRoute):
    """A route whose errors are pages in words instead of problem documents."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_with_pages(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return error_page(HTTPStatus.NOT_FOUND, "There is nothing at this address.", request)
            except HTTPException as error:
                return error_page(error.status_code, str(error.detail), request)
            except OperationalError:
                words = "The database does not answer; try again."
                return error_page(HTTPStatus.SERVICE_UNAVAILABLE, words, request)
            except (ServiceError, SearchSpaceError) as error:
                cause = cause_of(error)
                if cause is None:
                    raise
                return error_page(cause.status, str(error), request)
            except ClientDisconnect:
                raise
            except Exception as error:
                return error_page(HTTPStatus.INTERNAL_SERVER_ERROR, unexpected(error).detail, request)

        return handle_with_pages


class PageFormRoute(PageRoute, FormRoute):
    """A page with a form of text that a person pastes."""

    # Read by the same rules as a description over the API; the form's encoding triples some characters.
    max_body_bytes = 1024 * 1024


def error_page(status: int, detail: str, request: Request, *, title: str = "") -> Response:
    """Return a page that says in words what went wrong, with the way to what there is of that kind."""
    # A request's id leads to the log's entry, which only failures of our own have.
    identity = request_id() if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    return render(
        "error.html",
        status=status,
        title=title or _TITLES.get(status) or HTTPStatus(status).phrase.capitalize(),
        # The button goes where the command would look.
        detail=redacted(detail.partition("; see: nas")[0]),
        request_id=identity,
        way=_WAYS.get(request.url.path.split("/")[1], ("/studies", "All studies")),
    )


async def no_route(request: Request, error: Exception) -> Response:
    """Answer an error that no route has answered: browsers with a page, all else with a problem document."""
    assert isinstance(error, HTTPException)
    wants_page = "text/html" in request.headers.get("accept", "")
    if error.status_code != HTTPStatus.NOT_FOUND or not wants_page or request.url.path.startswith("/api/"):
        return await on_http(request, error)
    return error_page(error.status_code, "There is nothing at this address.", request)


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nas_service.dashboard"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "metric": lambda value, name: wording.value_text(name, value),
        "metric_label": wording.label,
        "metric_short": wording.short_label,
        "metric_unit": wording.unit_text,
        "plain": lambda value: f"{value:.12g}",
        "words": wording.words_of,
        "latency_facts": wording.latency_facts,
        "duration": wording.duration_text,
        "timing": lambda value, name: wording.timing_text(name, value),
        "time_left": time_left_text,
        "ago": wording.ago_text,
        "moment": wording.moment_text,
        "iso": lambda moment: wording.as_utc(moment).isoformat(),
        "share": wording.share_text,
        "shape": wording.shape_text,
        "bound": wording.limit_text,
        "field": wording.field_text,
        "dotted": dotted,
        "count": wording.count_text,
        "compact": wording.compact_text,
        "significant": wording.significant,
        "yaml": yaml_text,
        "pretty": lambda data: json.dumps(data, indent=2, ensure_ascii=False),
    }
    environment.globals |= {
        "plotly_address": plotly_script.address(),
        "plotly_style_ids": plotly_script.style_ids,
        "active_states": ACTIVE_STATES,
        "static_version": _static_version(),
        # Who looks at the page; None where nothing asks for that.
        "who": current_actor.get,
    }
    return environment


def _static_version() -> str:
    """Changes when any static file does."""
    folder = Path(__file__).parent / "static"
    return format(max(int(path.stat().st_mtime) for path in folder.iterdir()), "x")
