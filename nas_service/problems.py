"""Problem details (RFC 9457): the shape of every error answer, and which exception means which.

The API reads the table from exception to answer, clients from answer back to exception.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from nas_service.errors import (
    AccessDenied,
    Conflict,
    FieldError,
    Forbidden,
    InvalidArchitecture,
    InvalidInput,
    NotFound,
    ServiceError,
    Stale,
    StorageFull,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMedia,
    field_error,
)
from nas_service.ledger.protocol import (
    LeaseLost,
    LedgerFull,
    LedgerRefused,
    LedgerUnavailable,
    NameTaken,
    NotYours,
)
from search_spaces.errors import SearchSpaceError

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:nas:"
RETRY_AFTER_S = 2
# The same request may be answered later.
RETRY_STATUSES = frozenset({429, 503, 507})


class ProblemField(BaseModel):
    """One wrong field: a JSON pointer, what is wrong, what would be right."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    message: str
    allowed: str | None = None


class Problem(BaseModel):
    """An error answer."""

    model_config = ConfigDict(frozen=True)

    # Stable for one cause, "urn:nas:not-found".
    type: str
    title: str
    status: int
    # One line for a person.
    detail: str
    errors: list[ProblemField] = []
    # Names the request in the server's log; the answer's X-Request-ID says the same.
    request_id: str | None = None
    # The header of the same name: after so many seconds the same request may be answered.
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """How one kind of exception is answered."""

    exception: type[Exception]
    status: int
    name: str
    title: str

    @property
    def type(self) -> str:
        return PREFIX + self.name


CAUSES = (
    Cause(InvalidInput, 422, "invalid-input", "The input is invalid"),
    Cause(SearchSpaceError, 422, "invalid-architecture", "The architecture or search space is invalid"),
    Cause(NotYours, 403, "not-yours", "The worker belongs to another token"),
    Cause(NameTaken, 409, "name-taken", "A living worker has this name"),
    Cause(LedgerRefused, 422, "refused", "The call is refused"),
    Cause(NotFound, 404, "not-found", "There is no such thing"),
    Cause(LeaseLost, 409, "lease-lost", "The trial belongs to another attempt"),
    Cause(Stale, 412, "stale", "It has changed meanwhile"),
    Cause(Conflict, 409, "conflict", "The state forbids this"),
    Cause(Forbidden, 403, "forbidden", "The token's role does not allow this"),
    Cause(AccessDenied, 401, "access-denied", "A token is needed"),
    Cause(StorageFull, 507, "storage-full", "There is no room to store more"),
    Cause(LedgerFull, 507, "ledger-full", "There is no room to store more"),
    Cause(Unavailable, 503, "unavailable", "The database does not answer"),
    Cause(LedgerUnavailable, 503, "ledger-unavailable", "The database does not answer"),
)


# What is refused before a service is asked: name and title by status, whoever finds it out.
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("bad-request", "The request is none for this server"),
    401: ("access-denied", "A token is needed"),
    403: ("forbidden", "The token's role does not allow this"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "The address takes other methods"),
    413: ("too-large", "More was sent than is taken"),
    415: ("unsupported-media", "The body is of a kind that is not taken"),
    422: ("invalid-input", "The input is invalid"),
    429: ("too-many-requests", "The server is asked too much"),
    500: ("unexpected", "The server failed"),
    503: ("unavailable", "The database does not answer"),
    507: ("storage-full", "There is no room to store more"),
}
# What a client raises, by the name of a problem's type; docs/api.md lists them.
RAISED: Mapping[str, type[ServiceError]] = {
    "invalid-input": InvalidInput,
    "invalid-architecture": InvalidArchitecture,
    "refused": InvalidInput,
    "too-large": TooLarge,
    "unsupported-media": UnsupportedMedia,
    "not-found": NotFound,
    "conflict": Conflict,
    "lease-lost": Conflict,
    "name-taken": Conflict,
    "stale": Stale,
    "access-denied": AccessDenied,
    "forbidden": Forbidden,
    "not-yours": Forbidden,
    "too-many-requests": TooManyRequests,
    "unavailable": Unavailable,
    "ledger-unavailable": Unavailable,
    "storage-full": StorageFull,
    "ledger-full": StorageFull,
    "bad-request": ServiceError,
    "method-not-allowed": ServiceError,
    "unexpected": ServiceError,
}
# For answers of something in between, which knows nothing of our types.
RAISED_BY_STATUS = {status: RAISED[name] for status, (name, _) in REFUSALS.items()} | {
    409: Conflict,
    412: Stale,
}


def cause_of(error: Exception) -> Cause | None:
    """Return how `error` is answered; None for what nobody expected."""
    return next((cause for cause in CAUSES if isinstance(error, cause.exception)), None)


def type_of(exception: type[Exception]) -> str:
    """Return the problem type that stands for a kind of exception."""
    return next(cause.type for cause in CAUSES if cause.exception is exception)


def problem_of(error: Exception, cause: Cause) -> Problem:
    """Return the answer to `error`."""
    return Problem(
        type=cause.type,
        title=cause.title,
        status=cause.status,
        detail=str(error) or cause.title,
        errors=_fields(error),
    )


def service_error(problem: Problem) -> ServiceError:
    """Return the service's exception that `problem` stands for; by its status where its type is unknown."""
    raised = RAISED.get(problem.type.removeprefix(PREFIX)) or RAISED_BY_STATUS.get(problem.status)
    if raised is None:
        return ServiceError(problem.detail)
    if issubclass(raised, InvalidInput):
        fields = [FieldError(field.pointer, field.message, field.allowed) for field in problem.errors]
        return raised(*fields or [FieldError("", problem.detail)])
    return raised(problem.detail)


def _fields(error: Exception) -> list[ProblemField]:
    found = error.errors if isinstance(error, InvalidInput) else ()
    if isinstance(error, SearchSpaceError):
        found = (field_error(error),)
    return [
        ProblemField(pointer=field.pointer, message=field.message, allowed=field.allowed) for field in found
    ]
