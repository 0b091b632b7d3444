"""Every error leaves as problem+json; an unexpected one says an id only, and the log has the rest."""

import logging
import secrets
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from nas_service.problems import (
    CAUSES,
    MEDIA_TYPE,
    RETRY_AFTER_S,
    Problem,
    ProblemField,
    cause_of,
    problem_of,
)

log = logging.getLogger(__name__)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the HTTP answer for `problem`."""
    more = dict(headers or {})
    if problem.status in (429, 503):
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
    if problem.status == 401:
        more.setdefault("WWW-Authenticate", "Bearer")
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=more,
    )


def refusal(status: int, detail: str, *, name: str | None = None) -> Problem:
    """Return the problem of a request refused before any service is asked."""
    phrase = HTTPStatus(status).phrase
    return Problem(
        type=f"urn:nas:{name or phrase.lower().replace(' ', '-')}", title=phrase, status=status, detail=detail
    )


def unexpected(error: Exception) -> Problem:
    """Log `error` under a new id and return the problem that carries the id alone."""
    identity = secrets.token_hex(6)
    log.error("unexpected error %s", identity, exc_info=error)
    problem = refusal(500, f"unexpected error {identity}; the server's log has the details")
    return problem.model_copy(update={"id": identity})


def install(app: FastAPI) -> None:
    """Register the handlers of all expected errors."""
    for cause in CAUSES:
        app.add_exception_handler(cause.exception, _expected)
    for database_error in (OperationalError, PoolTimeout):
        app.add_exception_handler(database_error, _database_away)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _expected(_request: Request, error: Exception) -> Response:
    cause = cause_of(error)
    return respond(problem_of(error, cause) if cause else unexpected(error))


async def _database_away(_request: Request, error: Exception) -> Response:
    log.warning("the database does not answer: %s", type(error).__name__)
    return respond(refusal(503, "the database does not answer; try again", name="unavailable"))


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
    expected = context.get("expected") if isinstance(context, dict) else None
    if entry["type"] == "json_invalid":
        reason = context.get("error") if isinstance(context, dict) else ""
        return ProblemField(pointer="", message=f"the body is not JSON: {reason}")
    return ProblemField(
        # The first part says where the value stood: body, path or query.
        pointer="".join(f"/{part}" for part in location[1:]),
        message=str(entry["msg"]).removeprefix("Value error, "),
        allowed=str(expected) if expected is not None else None,
    )


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = refusal(error.status_code, str(error.detail))
    return respond(problem, dict(error.headers or {}))
