"""What the service raises when a request cannot be met.

ServiceError
├── InvalidInput            a field is wrong: carries a pointer, a message and what is allowed
├── NotFound                no such study, trial, data set, family or worker
├── Conflict                the thing exists but is in the wrong state
│   └── Stale               it has changed since the caller looked
├── AccessDenied            the token is missing, wrong, or not enough
└── Unavailable             the database does not answer; try again
    └── ServerUnreachable   nothing answers at the server's address
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input."""

    # JSON pointer to the field, for instance "/constraints/params/max"; "" for the whole input.
    pointer: str
    message: str
    allowed: str | None = None


class ServiceError(Exception):
    """Base of the service's errors; `str()` is one line for a person."""


class InvalidInput(ServiceError):
    """One or more fields are wrong."""

    def __init__(self, *errors: FieldError) -> None:
        self.errors = errors
        super().__init__("; ".join(_line(error) for error in errors))


class NotFound(ServiceError):
    """The named thing does not exist."""


class Conflict(ServiceError):
    """The thing is in a state that forbids the request."""


class Stale(Conflict):
    """The thing has changed since the caller looked."""


class AccessDenied(ServiceError):
    """The server wants a token, or another one."""


class Unavailable(ServiceError):
    """The database does not answer at present."""


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address."""


def _line(error: FieldError) -> str:
    where = error.pointer.lstrip("/").replace("/", ".")
    text = f"{where}: {error.message}" if where else error.message
    return f"{text} (allowed: {error.allowed})" if error.allowed else text
