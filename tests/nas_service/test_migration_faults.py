"""Migrations under bad luck: many at once, killed half-way, back and forth, a database from the future."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres import Postgres
from sqlalchemy import Engine, inspect, text
from test_migrations import DRAWN, ENQUEUED, STUDY, WORKER, insert, moved

from nas_service.store.engine import make_engine, reading, writing
from nas_service.store.migrate import upgrade
from nas_service.store.models import Base

UPGRADE = """
import os, signal, sys
from sqlalchemy import event
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade

engine, left = make_engine(sys.argv[1]), int(sys.argv[2])

@event.listens_for(engine, "after_cursor_execute")
def after(connection, cursor, statement, *_):
    global left
    if statement.lstrip().upper().startswith(("CREATE", "ALTER", "INSERT", "UPDATE")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

upgrade(engine)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/nas.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(migrated=False)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url)
    yield engine
    engine.dispose()


def upgrading(url: str, kill_after: int = 0) -> "subprocess.Popen[bytes]":
    """Start a process that upgrades, and is killed after so many statements that change something."""
    return subprocess.Popen([sys.executable, "-c", UPGRADE, url, str(kill_after)])


def is_newest(engine: Engine) -> bool:
    with reading(engine) as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    return len(versions) == 1 and differences == []


def test_processes_that_start_at_once_migrate_once(empty_url: str, engine: Engine) -> None:
    processes = [upgrading(empty_url) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert is_newest(engine)


# In the first migration, and in one that moves data on.
@pytest.mark.parametrize(("revision", "statements"), [(None, 4), ("0001", 3)])
def test_a_killed_migration_leaves_the_old_schema_and_its_data(
    empty_url: str, engine: Engine, revision: str | None, statements: int
) -> None:
    if revision:
        moved(engine, revision)
        with writing(engine) as connection:
            for name, values in (("studies", STUDY), ("trials", DRAWN), ("trials", ENQUEUED)):
                insert(connection, name, values)
    before = shape(engine)
    engine.dispose()
    assert upgrading(empty_url, statements).wait() == -signal.SIGKILL
    assert shape(engine) == before
    upgrade(engine)
    assert is_newest(engine)
    with reading(engine) as connection:
        trials = connection.execute(text("SELECT number FROM trials ORDER BY number")).scalars().all()
    assert trials == ([0, 1] if revision else [])


def shape(engine: Engine) -> dict[str, list[str]]:
    """Return the columns of all tables."""
    inspector = inspect(engine)
    return {
        name: sorted(column["name"] for column in inspector.get_columns(name))
        for name in inspector.get_table_names()
    }


def test_down_to_the_first_schema_and_up_again_keeps_studies_trials_and_workers(engine: Engine) -> None:
    moved(engine, "0001")
    first = shape(engine)
    with writing(engine) as connection:
        for name, values in (
            ("studies", STUDY),
            ("workers", WORKER),
            ("trials", DRAWN),
            ("trials", ENQUEUED),
        ):
            insert(connection, name, values)
    kept = rows(engine)
    for _ in range(2):
        upgrade(engine)
        assert is_newest(engine)
        assert rows(engine) == kept
        moved(engine, "0001")
        assert shape(engine) == first
        assert rows(engine) == kept


def rows(engine: Engine) -> list[tuple[object, ...]]:
    queries = (
        "SELECT id, name, state, complete FROM studies ORDER BY id",
        "SELECT id, name, host FROM workers ORDER BY id",
        "SELECT id, number, state, params FROM trials ORDER BY id",
    )
    with reading(engine) as connection:
        return [tuple(row) for query in queries for row in connection.execute(text(query))]


COMMANDS: dict[str, list[str]] = {
    "server": ["-m", "nas_service.server"],
    "worker": ["-m", "workers"],
    "cli": ["-c", "from nas_service.cli.main import main; main()", "study", "list"],
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_database_from_the_future_is_refused_in_one_line(
    command: str, tmp_path: Path, new_database: Path, free_environment: Callable[..., dict[str, str]]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "nas.db").write_bytes(new_database.read_bytes())
    engine = make_engine(f"sqlite:///{home}/nas.db")
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    done = subprocess.run(
        [sys.executable, *COMMANDS[command]],
        env=free_environment(NAS_HOME=str(home), NAS_PORT="0"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode not in (0, -signal.SIGKILL)
    lines = done.stderr.strip().splitlines()
    assert "version 9999" in lines[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def free_environment() -> Callable[..., dict[str, str]]:
    """Return a factory of environments without settings but the given ones."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
    return lambda **given: {**inherited, **given}
