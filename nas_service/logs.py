"""Log lines of server and workers: one record a line, as text or JSON, with what it is about and no secrets.

Set up by a program when it starts, never on import:

    setup(Settings(), worker="node-1")
    with about(study=1, trial=7):
        log.info("attempt %d", 2)

writes, with NAS_LOG_FORMAT=json,

    {"time": "2026-01-01T12:00:00.000Z", "level": "info", "logger": "nas.worker", "message": "attempt 2",
     "worker": "node-1", "study": 1, "trial": 7}
"""

import json
import logging
import re
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from nas_service.redaction import conceal_password, redacted
from nas_service.settings import Settings
from search_spaces.errors import printable

Fields = Mapping[str, object]

# Ours follow NAS_LOG_LEVEL; libraries only warn: at lower levels some tell what is sent and stored.
OWN_LOGGERS = ("nas", "nas_service", "workers")
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
REQUEST_ID_HEADER = "X-Request-ID"

log = logging.getLogger("nas")
_about: ContextVar[Callable[[], Fields]] = ContextVar("about", default=dict)
_of_process: dict[str, object] = {}


@contextmanager
def about(lazily: Callable[[], Fields] = dict, /, **fields: object) -> Iterator[None]:
    """Let each line that is logged meanwhile say what it is about, such as `study=1`.

    Holds for this thread or task and for what it starts in a copy of its context.

    Args:
        lazily: Returns further fields when a line is written: those that become known on the way.
        fields: By name; None is left out.
    """
    outer = _about.get()
    token = _about.set(lambda: {**outer(), **fields, **lazily()})
    try:
        yield
    finally:
        _about.reset(token)


def present_fields() -> dict[str, object]:
    """Return what a line that is logged now would say it is about."""
    fields = {**_of_process, **_about.get()()}
    return {name: value for name, value in fields.items() if value is not None}


def request_id() -> str | None:
    """Return the id of the request that is being answered or sent; None outside of one."""
    known = present_fields().get("request_id")
    return str(known) if known is not None else None


def new_request_id() -> str:
    """Return a fresh id for a request."""
    return secrets.token_hex(8)


def checked_request_id(given: str | None) -> str | None:
    """Return the id that a client gave its request; None for what is no id, or looks like a secret."""
    is_id = given is not None and REQUEST_ID.fullmatch(given) and redacted(given) == given
    return given if is_id else None


def setup(settings: Settings, **fields: object) -> None:
    """Write this process's log to stderr as the settings say, uncaught errors and warnings included.

    Args:
        settings: NAS_LOG_FORMAT and NAS_LOG_LEVEL; the database's password is hidden from now on.
        fields: What every line of this process is about, such as `worker`.
    """
    conceal_password(settings.resolved_database_url)
    _of_process.clear()
    _of_process.update(fields)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class TextLines(logging.Formatter):
    """Lines for people: time, level, logger, message, and what it is about in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and below it the traceback if there is one."""
        entry = entry_of(record)
        head = [str(entry.pop(name)) for name in ("time", "level", "logger", "message")]
        trace = entry.pop("exception", None)
        told = " ".join(f"{name}={value}" for name, value in entry.items())
        line = printable("{} {:7} {}: {}".format(*head) + (f" [{told}]" if told else ""))
        return f"{line}\n{trace}" if trace else line


class JsonLines(logging.Formatter):
    """Lines for programs: a JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, whatever the message holds."""
        return json.dumps(entry_of(record), default=str)


def entry_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a line says, by name, without secrets."""
    entry: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **present_fields(),
        **getattr(record, "fields", {}),
    }
    if record.exc_info and record.exc_info[0] is not None:
        entry["exception"] = logging.Formatter().formatException(record.exc_info)
    return {name: redacted(value) if isinstance(value, str) else value for name, value in entry.items()}


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit) or error is None:
        sys.__excepthook__(kind, error or kind(), trace)
        return
    log.critical("ended by an unexpected error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    # A thread may end itself with SystemExit.
    if caught.exc_value is not None and not issubclass(caught.exc_type, SystemExit):
        _log_uncaught(caught.exc_type, caught.exc_value, caught.exc_traceback)
