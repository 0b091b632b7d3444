"""`nas db`: the database itself."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from nas_service.cli.output import say
from nas_service.errors import Conflict, FieldError, InvalidInput
from nas_service.processes import living_slots
from nas_service.settings import Settings
from nas_service.store import backup, worker_role
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade

app = typer.Typer(help="The database.", no_args_is_help=True, rich_markup_mode=None)


@app.command("upgrade")
def upgrade_database() -> None:
    """Create the database or bring it to this version's schema; harmless when it already is."""
    settings = Settings()
    engine = make_engine(settings.resolved_database_url)
    upgrade(engine)
    say(f"{engine.url.render_as_string(hide_password=True)} is up to date")


@app.command("backup")
def backup_database(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy an SQLite database while the service runs; artifacts and data sets are files of their own."""
    settings = Settings()
    database = _sqlite_file(settings, "pg_dump --format=custom --file={file} {url}", file)
    backup.backup(database, file, force=force)
    say(f"{database} is copied to {file}; {_others(settings)}")


@app.command("restore")
def restore_database(
    file: Annotated[Path, typer.Argument(help="What nas db backup wrote.")],
) -> None:
    """Put a backup in the database's place; the old one is kept beside it."""
    settings = Settings()
    database = _sqlite_file(settings, "pg_restore --clean --if-exists --dbname={url} {file}", file)
    living = living_slots(settings)
    if living:
        raise Conflict(f"{', '.join(living)} still run on {settings.data_home}; stop nas up, then restore")
    kept = backup.restore(file, database)
    say(f"{database} is restored from {file}; {_others(settings)}")
    if kept is not None:
        say(f"what was there is kept as {kept}")


@app.command("worker-role")
def print_worker_role(
    name: Annotated[str, typer.Argument(help="Name of the role: a-z, 0-9 and _.")],
) -> None:
    """Print the SQL that makes a PostgreSQL role for workers, which can do no more than a worker must."""
    url = make_url(Settings().resolved_database_url)
    if url.get_backend_name() != "postgresql":
        raise InvalidInput(FieldError("NAS_DATABASE_URL", "SQLite knows no roles", "postgresql://..."))
    for statement in worker_role.statements(name, url.database or ""):
        print(statement)  # noqa: T201
    say(f"run it as the owner of the tables (psql), then give it a password: \\password {name}")


def _sqlite_file(settings: Settings, command: str, file: Path) -> Path:
    """Return the database's file; PostgreSQL has tools of its own, which are named instead."""
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() != "sqlite":
        tool = command.format(url=_for_tools(url), file=file)
        raise InvalidInput(FieldError("NAS_DATABASE_URL", f"PostgreSQL has its own tools for this: {tool}"))
    return Path(str(url.database)).absolute()


def _for_tools(url: URL) -> str:
    """Return a URL as PostgreSQL's tools take it, without its password, which they ask for."""
    plain = url._replace(drivername="postgresql", password=None)
    return f"'{plain.render_as_string(hide_password=False)}'"


def _others(settings: Settings) -> str:
    where = settings.artifacts_url or f"{settings.artifacts_folder} and {settings.datasets_folder}"
    return f"artifacts and data sets lie in {where} and are no part of it"
