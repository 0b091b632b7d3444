"""The database: does it answer, is its schema ours, how long does a commit take, what is its time."""

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, delete, insert, make_url, select, text

from nas_service.diagnosis.check import Check, fail, ok, warn
from nas_service.settings import Settings
from nas_service.store.engine import make_engine, now_seconds, reading, writing
from nas_service.store.migrate import revisions
from nas_service.store.models import RequestRow, table

REQUEST = table(RequestRow)
COMMITS = 5
# Each report of a worker waits for a commit or two.
SLOW_COMMIT_MS = 100.0
LARGE_SKEW_S = 2.0


def check_database(settings: Settings) -> list[Check]:
    """Return whether the database can be used; nothing is migrated or left behind."""
    if _is_missing(settings):
        return [
            warn("database", f"there is none yet at {shown_url(settings)}", "the first 'nas up' makes it")
        ]
    with opened(settings) as engine:
        kind = _kind(engine)
        current, head = revisions(engine)
        if current is None:
            return [warn("database", f"{kind} holds no tables of ours", "run: nas db upgrade")]
        if current != head:
            return [
                fail(
                    "database",
                    f"{kind} has the schema {current}, this program's is {head}",
                    "run: nas db upgrade; a database of a newer program needs that program",
                )
            ]
        return [_commits(engine, f"{kind}, schema {current}"), clock("database", lambda: _clock(engine))]


def is_usable(settings: Settings) -> bool:
    """Whether studies and workers can be read: the database is there and has this program's schema."""
    if _is_missing(settings):
        return False
    with opened(settings) as engine:
        current, head = revisions(engine)
        return current == head


def shown_url(settings: Settings) -> str:
    """Return the database's URL without its password."""
    return make_url(settings.resolved_database_url).render_as_string(hide_password=True)


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """Open the database for a moment."""
    engine = make_engine(settings.resolved_database_url)
    try:
        yield engine
    finally:
        engine.dispose()


def clock(whose: str, ask: Callable[[], float], *, resolution_s: float = 0.0) -> Check:
    """Return how far this machine's clock is from another's.

    Args:
        whose: The other one.
        ask: Returns its time, seconds since 1970; ours is taken in the middle of the call.
        resolution_s: What the other one rounds down to.
    """
    before = time.time()
    theirs = ask() + resolution_s / 2
    skew = (before + time.time()) / 2 - theirs
    found = f"{skew:+.3f} s from the {whose}'s"
    if resolution_s:
        # What is less than the other clock's own step says nothing of ours.
        is_equal = abs(skew) <= resolution_s / 2
        found = (
            f"{'the same as' if is_equal else f'{skew:+.0f} s from'} the {whose}'s, which tells whole seconds"
        )
    if abs(skew) <= LARGE_SKEW_S + resolution_s:
        return ok("clock", found)
    return warn("clock", found, "leases hold, they go by the database's clock; times shown differ: run NTP")


def _is_missing(settings: Settings) -> bool:
    url = make_url(settings.resolved_database_url)
    return url.get_backend_name() == "sqlite" and bool(url.database) and not Path(str(url.database)).is_file()


def _kind(engine: Engine) -> str:
    is_sqlite = engine.dialect.name == "sqlite"
    with reading(engine) as connection:
        version = connection.execute(
            text("SELECT sqlite_version()" if is_sqlite else "SHOW server_version")
        ).scalar_one()
    return f"{'SQLite' if is_sqlite else 'PostgreSQL'} {str(version).split()[0]}"


def _clock(engine: Engine) -> float:
    with reading(engine) as connection:
        return float(connection.execute(select(now_seconds(connection))).scalar_one())


def _commits(engine: Engine, kind: str) -> Check:
    """Write and remove a row a few times."""
    key, times_ms = f"doctor-{secrets.token_hex(8)}", []
    row = {"key": key, "body_sha256": "0" * 64, "status": 204, "answer": {}, "created_at": datetime.now(UTC)}
    for _ in range(COMMITS):
        started = time.perf_counter()
        with writing(engine) as connection:
            connection.execute(insert(REQUEST).values(row))
        times_ms.append(1e3 * (time.perf_counter() - started))
        with writing(engine) as connection:
            connection.execute(delete(REQUEST).where(REQUEST.c.key == key))
    median = statistics.median(times_ms)
    found = f"{kind}, writable, a commit takes {median:.1f} ms (median of {COMMITS})"
    if median <= SLOW_COMMIT_MS:
        return ok("database", found)
    return warn(
        "database", found, f"over {SLOW_COMMIT_MS:.0f} ms holds workers up: look at its disk and load"
    )
