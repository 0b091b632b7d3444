"""Bringing the database to this version's schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from nas_service.crash_points import crash_point
from nas_service.errors import ServiceError, Unavailable
from nas_service.store.engine import writing

# Any number will do, as long as all servers use the same.
ADVISORY_LOCK = 7_202_611
# PostgreSQL's code for a lack of privileges.
NOT_ALLOWED = "42501"


class NewerDatabase(ServiceError):
    """The database was written by a newer version of this program."""


def upgrade(engine: Engine) -> None:
    """Create or migrate the schema; when several processes start at once, one does it and the others wait.

    Raises:
        NewerDatabase: The database's version is unknown to this program.
        Unavailable: The database does not answer, or this role may not change its schema.
    """
    head = _known().get_current_head()
    try:
        with _exclusive(engine) as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            if current == head:
                return
            _refuse_newer(current)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            crash_point("store.migrate.before_commit")
    except OperationalError as error:
        raise Unavailable(f"the database does not answer: {str(error.orig).splitlines()[0]}") from error
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        message = f"this role may not bring the database to version {head}; start the server first"
        raise Unavailable(message) from error


def revisions(engine: Engine) -> tuple[str | None, str | None]:
    """Return the database's version, None without one, and this program's; nothing is changed."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current, _known().get_current_head()


@cache
def _known() -> ScriptDirectory:
    """Return this program's migrations, compiled once a process."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> Path:
    """Return the folder of migrations: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"


def _refuse_newer(current: str | None) -> None:
    known = {script.revision for script in _known().walk_revisions()}
    if current is not None and current not in known:
        raise NewerDatabase(
            f"the database is of version {current}, which this program does not know; "
            "use the newer program that wrote it, or another NAS_HOME"
        )


@contextmanager
def _exclusive(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        yield connection
