"""The connection to the database."""

import math
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Float,
    QueuePool,
    create_engine,
    event,
    literal_column,
    make_url,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError

from nas_service.crash_points import crash_point
from nas_service.errors import FieldError, InvalidInput, Unavailable

DRIVERS = frozenset({"sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"})
DATABASE_URLS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
BUSY_TIMEOUT_S = 30
# PostgreSQL ends a transaction whose process has said nothing for so long: one that was stopped, or cut off,
# would hold a study's lock for hours.
IDLE_IN_TRANSACTION_S = 15
CLOSING_S = 2.0
# A pooled connection that worked so lately is taken for good.
TRUSTED_S = 1.0
POSTGRES_DISK_FULL = "53100"
# File systems whose locks SQLite cannot trust.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "lustre", "glusterfs"}
)


def make_engine(url: str, *, pings: bool = True) -> Engine:
    """Return an engine for SQLite or PostgreSQL.

    SQLite runs in WAL mode with `synchronous=NORMAL`: a committed result survives the death of any process;
    a power cut may undo the last commits, never damage the file. Transactions of SQLite begin IMMEDIATE,
    see `writing`.

    Args:
        url: An SQLAlchemy URL.
        pings: Try a pooled PostgreSQL connection that was idle before use. Without it a call after a restart
            of the database fails once, which is right for a worker: it repeats its calls anyway.

    Raises:
        InvalidInput: This is no URL of SQLite or PostgreSQL.
        Unavailable: An SQLite file would lie on a network file system, or its folder cannot be written.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    idle = f"-c idle_in_transaction_session_timeout={1000 * IDLE_IN_TRANSACTION_S}"
    given = {"options": f"{parsed.query.get('options', '')} {idle}".strip()}
    # The connection used last is used next, so that few are busy and the others are known to be idle.
    engine = create_engine(parsed, pool_use_lifo=True, pool_size=5, max_overflow=15, connect_args=given)
    if pings:
        _try_idle_ones(engine)
    return engine


def _try_idle_ones(engine: Engine) -> None:
    """Try pooled connections before use, but for those that were good a moment ago.

    A try is a round trip, and a busy server would pay one for each transaction.
    """
    dialect = engine.dialect
    failure = dialect.loaded_dbapi.Error

    @event.listens_for(engine, "checkin")
    def _note(_connection: Any, record: Any) -> None:
        record.info["good_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _try(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("good_at", -math.inf) < TRUSTED_S:
            return
        try:
            dialect.do_ping(connection)
        except failure as error:
            # All others are as old: the pool opens new ones.
            raise InvalidatePoolError(str(error)) from error


def close(engine: Engine) -> None:
    """Let go of all connections, those last whose statement a thread still waits for.

    One that is given back after the pool was closed would never be closed.
    """
    pool = engine.pool
    deadline = time.monotonic() + CLOSING_S
    while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < deadline:
        time.sleep(0.01)
    engine.dispose()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that will write: on SQLite it takes the write lock at once."""
    with engine.execution_options(nas_writes=True).begin() as connection:
        yield connection
        crash_point("store.before_commit")
    crash_point("store.after_commit")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a connection that only reads.

    On PostgreSQL each statement stands for itself, which saves the round trips of BEGIN and COMMIT: a
    reader that needs several statements asks for what may be newer last.
    """
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            yield connection
        return
    with engine.begin() as connection:
        yield connection


def is_full(error: DBAPIError) -> bool:
    """Whether the database could not write for want of space."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == POSTGRES_DISK_FULL


def now_seconds(connection: Connection) -> ColumnElement[float]:
    """Return the database's own clock as an SQL expression: seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
    return literal_column("extract(epoch from clock_timestamp())::double precision", Float)


def now_moment(connection: Connection) -> ColumnElement[datetime]:
    """Return the database's own clock as an SQL expression, to compare with columns that hold a moment."""
    if connection.dialect.name == "sqlite":
        # As the columns are stored: six digits of the second.
        return literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')", DateTime)
    return literal_column("clock_timestamp()", DateTime(timezone=True))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername in DRIVERS:
            return parsed
    except (ArgumentError, ValueError):
        pass
    # What was given is not said: it may hold a password.
    raise InvalidInput(FieldError("NAS_DATABASE_URL", "is no URL of a database", DATABASE_URLS))


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        _check_folder(Path(url.database).absolute().parent)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own, deferred BEGIN is switched off; `_begin` below says how each transaction starts.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("nas_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create the data folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unavailable(
            f"cannot write to the data folder {folder}; set NAS_HOME to one that can be written"
        )
    kind = file_system(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise Unavailable(
            f"{folder} lies on {kind}, where SQLite can lose data; use a local NAS_HOME or NAS_DATABASE_URL"
        )


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder; "" where /proc does not tell."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return _type_of(folder.resolve(), mounts)


def _type_of(folder: Path, mounts: Sequence[str]) -> str:
    """Return the type of the innermost mount around a folder; of several at one place the last counts."""
    best = ("", "")
    for line in mounts:
        _, mount_point, kind, *_ = line.split()
        if folder.is_relative_to(mount_point) and len(mount_point) >= len(best[0]):
            best = (mount_point, kind)
    return best[1]
