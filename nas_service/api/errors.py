"""Every error leaves as problem+json; an unexpected one says an id only, and the log has the rest."""

import logging
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from nas_service.content import FULL
from nas_service.logs import new_request_id, request_id
from nas_service.problems import (
    CAUSES,
    MEDIA_TYPE,
    REFUSALS,
    RETRY_AFTER_S,
    RETRY_STATUSES,
    Problem,
    ProblemField,
    cause_of,
    problem_of,
)
from nas_service.redaction import redacted
from nas_service.spec_file import allowed_by
from nas_service.store.engine import is_full

log = logging.getLogger(__name__)

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the HTTP answer for `problem`."""
    problem = _presentable(problem)
    more = dict(headers or {})
    if problem.status in RETRY_STATUSES:
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
        problem = problem.model_copy(update={"retry_after_s": float(more["Retry-After"])})
    if problem.status == 401:
        more.setdefault("WWW-Authenticate", "Bearer")
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=more,
    )


def _presentable(problem: Problem) -> Problem:
    """Return a problem with its request's id; what it repeats of the input is shown without secrets."""
    fields = [field.model_copy(update={"message": redacted(field.message)}) for field in problem.errors]
    said = {"detail": redacted(problem.detail), "errors": fields}
    return problem.model_copy(update={**said, "request_id": problem.request_id or request_id()})


def refusal(status: int, detail: str, *, name: str | None = None) -> Problem:
    """Return the problem of a request refused before any service is asked."""
    known, title = REFUSALS.get(status) or (HTTPStatus(status).phrase.lower().replace(" ", "-"),) * 2
    return Problem(type=f"urn:nas:{name or known}", title=title, status=status, detail=detail)


def unexpected(error: Exception) -> Problem:
    """Log `error` under the request's id and return the problem that carries the id alone."""
    identity = request_id() or new_request_id()
    log.error("unexpected error %s", identity, exc_info=error)
    problem = refusal(500, f"unexpected error {identity}; the server's log has the details")
    return problem.model_copy(update={"request_id": identity})


def install(app: FastAPI) -> None:
    """Register the handlers of all expected errors."""
    for cause in CAUSES:
        app.add_exception_handler(cause.exception, _expected)
    for database_error in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(database_error, _database_away)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, on_http)


async def _expected(_request: Request, error: Exception) -> Response:
    cause = cause_of(error)
    return respond(problem_of(error, cause) if cause else unexpected(error))


async def _database_away(_request: Request, error: Exception) -> Response:
    log.warning("the database does not answer: %s", type(error).__name__)
    if isinstance(error, DBAPIError) and is_full(error):
        return respond(refusal(507, "there is no room in the database", name="storage-full"))
    return respond(refusal(503, "the database does not answer; try again", name="unavailable"))


async def _disk(_request: Request, error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno in FULL:
        return respond(refusal(507, "no space is left on the server's disk", name="storage-full"))
    return respond(unexpected(error))


async def _unstorable(_request: Request, _error: Exception) -> Response:
    return respond(refusal(422, "a value cannot be stored in the database", name="invalid-input"))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [_field(entry) for entry in error.errors()]
    detail = "; ".join(f"{field.pointer.lstrip('/').replace('/', '.')}: {field.message}" for field in fields)
    problem = refusal(422, detail, name="invalid-input")
    return respond(problem.model_copy(update={"errors": fields}))


def _field(entry: dict[str, object]) -> ProblemField:
    location = entry["loc"] if isinstance(entry["loc"], tuple) else ()
    context = entry.get("ctx")
    message, _, allowed = str(entry["msg"]).removeprefix("Value error, ").partition("; allowed: ")
    if entry["type"] == "json_invalid":
        reason = context.get("error") if isinstance(context, dict) else ""
        return ProblemField(pointer="", message=f"the body is not JSON: {reason}")
    return ProblemField(
        # The first part says where the value stood: body, path or query.
        pointer="".join(f"/{part}" for part in location[1:]),
        message=message.replace("Input should be", "must be"),
        allowed=allowed or (allowed_by(context) if isinstance(context, dict) else None),
    )


async def on_http(request: Request, error: Exception) -> Response:
    """Answer an error of the framework or of a refusal as a problem document."""
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if detail == HTTPStatus.NOT_FOUND.phrase:
        # No route is like that, so nothing of ours has said what is missing.
        detail = f"there is nothing at {request.url.path[:200]}; /docs lists what there is"
    problem = refusal(error.status_code, detail)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return respond(problem, headers)


def _methods_at(request: Request) -> set[str]:
    """Return what the address takes by any route; the framework tells of the first one only."""
    return {
        method for method in METHODS if _is_taken(request.app.routes, {**request.scope, "method": method})
    }


def _is_taken(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
