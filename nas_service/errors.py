"""What the service raises when a request cannot be met.

ServiceError
├── InvalidInput            a field is wrong: carries a pointer, a message and what is allowed
│   ├── InvalidArchitecture a description of a network or space is wrong
│   ├── TooLarge            more was sent than is taken
│   └── UnsupportedMedia    the body is of a kind that is not taken
├── NotFound                no such study, trial, data set, family or worker
├── Conflict                the thing exists but is in the wrong state
│   └── Stale               it has changed since the caller looked
├── MissingPackage          an optional package is needed that is not installed
├── AccessDenied            the token is missing, unknown, revoked or expired
│   └── Forbidden           the token is good, but its role does not allow this
└── Unavailable             the database or the file store does not answer; try again
    ├── TooManyRequests     the server is asked too much; try again later
    ├── ServerUnreachable   nothing answers at the server's address
    ├── StorageFull         there is no room to store anything more
    └── DamagedFile         a stored file does not hold what its name says
"""

from dataclasses import dataclass

from search_spaces.errors import SearchSpaceError, encodable, printable


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input."""

    # JSON pointer to the field, for instance "/constraints/params/max"; "" for the whole input.
    pointer: str
    message: str
    allowed: str | None = None

    def __post_init__(self) -> None:
        # Names and values that people wrote stand in these.
        object.__setattr__(self, "pointer", encodable(self.pointer))
        object.__setattr__(self, "message", printable(self.message))


class ServiceError(Exception):
    """Base of the service's errors; `str()` is one line for a person."""


class InvalidInput(ServiceError):
    """One or more fields are wrong."""

    def __init__(self, *errors: FieldError) -> None:
        self.errors = errors
        super().__init__("; ".join(_line(error) for error in errors))


class InvalidArchitecture(InvalidInput):
    """A description of a network or of a search space is wrong."""


class TooLarge(InvalidInput):
    """More was sent than is taken."""


class UnsupportedMedia(InvalidInput):
    """The body is of a kind that is not taken."""


class NotFound(ServiceError):
    """The named thing does not exist."""


# Where a person finds the names that there are, by kind of thing.
LISTED = {
    "study": "nas study list",
    "trial": "nas study front STUDY",
    "job": "nas job list",
    "data set": "nas data list, or add it: nas data add PATH",
    "token": "nas token list",
}


def no_such(kind: str, name: int | str, within: str = "") -> NotFound:
    """Return the error of a name that nothing has, with the command that lists what there is.

    Example:
        >>> str(no_such("study", 7)), str(no_such("trial", 3, "study 1"))
        ('there is no study 7; see: nas study list', 'study 1 has no trial 3; see: nas study front STUDY')
    """
    shown = repr(name[:60]) if isinstance(name, str) else str(name)
    said = f"{within} has no {kind} {shown}" if within else f"there is no {kind} {shown}"
    return NotFound(f"{said}; see: {LISTED[kind]}")


class Conflict(ServiceError):
    """The thing is in a state that forbids the request."""


class Stale(Conflict):
    """The thing has changed since the caller looked."""


class MissingPackage(ServiceError):
    """An optional package is needed that is not installed."""


class AccessDenied(ServiceError):
    """The server wants a token, or another one."""


class Forbidden(AccessDenied):
    """The token is good, but not for this."""


class Unavailable(ServiceError):
    """The database does not answer at present."""


class TooManyRequests(Unavailable):
    """The server is asked too much, or was shown too many wrong tokens."""


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address."""


class StorageFull(Unavailable):
    """There is no room to store anything more; what is stored is there, and can be read."""


class DamagedFile(Unavailable):
    """A stored file does not hold what its name says."""


def field_error(error: SearchSpaceError, below: str = "") -> FieldError:
    """Return what is wrong with a description; `below` is the pointer of the field that held it."""
    message, _, allowed = str(error).partition("; allowed: ")
    return FieldError(below + error.pointer, message, allowed or None)


def refused(error: SearchSpaceError, below: str = "") -> InvalidInput:
    """Return the refusal of an input that holds a wrong architecture or search space."""
    return InvalidInput(field_error(error, below))


def dotted(pointer: str) -> str:
    """Return a JSON pointer as people write it: stages.0.downsample."""
    return pointer.lstrip("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


def _line(error: FieldError) -> str:
    where = printable(dotted(error.pointer))
    text = f"{where}: {error.message}" if where else error.message
    return f"{text} (allowed: {error.allowed})" if error.allowed else text
