"""A consistent copy of an SQLite database while others write to it, and the way back."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text, update

from nas_service.content import storage_error
from nas_service.errors import Conflict, FieldError, InvalidInput, NotFound, StorageFull
from nas_service.store.engine import make_engine, writing
from nas_service.store.migrate import upgrade
from nas_service.store.models import TrialRow, table

TRIAL = table(TrialRow)
# How long whoever has the database open may take to let go.
PATIENCE_S = 2.0
# No trial is begun so often: a lease from before a restore never fits one from after it.
ATTEMPTS_APART = 1000


def backup(database: Path, target: Path, *, force: bool = False) -> None:
    """Write a consistent copy as one file that only its owner may read.

    Args:
        database: The SQLite file; it may be written to meanwhile.
        target: Where the copy goes.
        force: Replace a file that is there.

    Raises:
        Conflict: There is a file at `target`, or the database is damaged.
        StorageFull: There is no room for the copy.
        NotFound: There is no database.
        InvalidInput: `target` lies in no folder.
    """
    if not database.is_file():
        raise NotFound(f"there is no database at {database}")
    if not target.parent.is_dir():
        raise InvalidInput(FieldError("FILE", f"{target.parent} is no folder", "a file in one that exists"))
    with _claimed(target, force), _written(target) as part, _told(database):
        _copy(database, part)
        problem = _problem_of(part)
        if problem:
            raise Conflict(f"{database} is damaged and was not copied: {problem}")


def restore(source: Path, database: Path) -> Path | None:
    """Put a backup in a database's place, and return where the old one is kept, None if there was none.

    Numbers and attempts that the old one gave out are not given out again, so that a worker from before the
    restore can change nothing after it. The backup is brought to this program's schema on the way.

    Raises:
        InvalidInput: `source` is no backup of this service, or damaged.
        Conflict: A server, worker or command has the database open.
        StorageFull: There is no room for both.
        NewerDatabase: A newer program wrote the backup.
    """
    if not source.is_file():
        raise NotFound(f"there is no file at {source}")
    _refuse_foreign(source)
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as folder, _told(database):
        fresh = Path(folder) / "nas.db"
        _copy(source, fresh)
        engine = make_engine(f"sqlite:///{fresh}")
        upgrade(engine)
        with _alone(database) as old:
            with writing(engine) as connection:
                _set_apart(connection, old)
            engine.dispose()
            return _exchange(old, fresh, database)


@contextmanager
def _alone(database: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a database that nobody else has open, and keep others out; None if it is missing or damaged."""
    if not database.is_file():
        yield None
        return
    with closing(sqlite3.connect(database, timeout=PATIENCE_S, isolation_level=None)) as connection:
        try:
            # Each process that has it open holds a shared lock.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            message = f"{database} is in use by a server, a worker or a command; stop them and restore again"
            raise Conflict(message) from error
        except sqlite3.DatabaseError:
            yield None
            return
        yield connection


def _exchange(old: sqlite3.Connection | None, fresh: Path, database: Path) -> Path | None:
    kept = database.with_name(f"{database.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    is_there = database.is_file()
    if old is None:
        # Missing, or too damaged to be opened: the files themselves are kept.
        if is_there:
            os.link(database, kept)
        # A log that is left of what lay here would be replayed over the restored rows.
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(f"{database}{ending}", f"{kept}{ending}")
        os.replace(fresh, database)
        return kept if is_there else None
    with _written(kept) as part, closing(sqlite3.connect(part)) as copy:
        old.backup(copy)
    # One transaction within the file: a crash leaves the old rows, and who waits for the lock sees the new.
    with closing(sqlite3.connect(fresh)) as new:
        new.backup(old)
    return kept


def _set_apart(connection: Connection, old: sqlite3.Connection | None) -> None:
    """Keep numbers and attempts of the restored rows apart from those given out since they were saved."""
    open_trials = TRIAL.c.state.in_(("running", "waiting"))
    apart = {"attempt": TRIAL.c.attempt + ATTEMPTS_APART, "released": TRIAL.c.released + ATTEMPTS_APART}
    connection.execute(update(TRIAL).where(open_trials).values(**apart))
    connection.execute(update(TRIAL).where(TRIAL.c.state == "running").values(lease_expires_at=0.0))
    with suppress(sqlite3.DatabaseError):
        counted = old.execute("SELECT name, seq FROM sqlite_sequence").fetchall() if old else []
        for name, number in counted:
            raised = "UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :name"
            if not connection.execute(text(raised), {"name": name, "number": number}).rowcount:
                added = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"
                connection.execute(text(added), {"name": name, "number": number})


def _refuse_foreign(source: Path) -> None:
    problem = _problem_of(source)
    if problem is None:
        with closing(_opened(source)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if {"alembic_version", "studies", "trials"} <= names:
            return
        problem = "it holds no studies of this service"
    raise InvalidInput(
        FieldError("FILE", f"{source.name} is no backup: {problem}", "what nas db backup wrote")
    )


def _problem_of(path: Path) -> str | None:
    try:
        with closing(_opened(path)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    if said != "ok":
        return str(said).splitlines()[0]
    return f"a row of {broken[0]} refers to nothing" if broken else None


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE_S)


def _copy(source: Path, target: Path) -> None:
    with closing(_opened(source)) as old, closing(_opened(target)) as new:
        old.backup(new)
        # One file, without a log beside it.
        new.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def _told(database: Path) -> Iterator[None]:
    """Say in the service's words what SQLite finds wrong."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFull(f"there is no room for a copy of {database}") from error
        raise Conflict(f"{database} cannot be copied: {error}") from error


@contextmanager
def _claimed(target: Path, force: bool) -> Iterator[None]:
    """Hold a file's name, so that what comes there meanwhile is not overwritten."""
    if force:
        yield
        return
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise Conflict(f"{target} exists; --force replaces it") from error
    except OSError as error:
        raise storage_error(target.parent, error) from error
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """Yield a private file that takes the target's place when all went well."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".backup-")
    except OSError as error:
        raise storage_error(target.parent, error) from error
    part = Path(name)
    try:
        yield part
        os.fsync(descriptor)
        os.replace(part, target)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)
