"""Databases: SQLite, and a PostgreSQL of the tests' own on which the same tests run again."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_service.service import Service
from nas_service.settings import Settings

# Contracts that several modules run, and the server, are ordinary modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

from postgres import Postgres

# What reads or writes the store, through whichever door, runs on both databases. What is about bodies,
# headers, pages or descriptions alone runs on SQLite only.
ON_BOTH = frozenset(
    {
        "test_sql_ledger.py",
        "test_http_ledger.py",
        "test_service.py",
        "test_budgets.py",
        "test_warm_start.py",
        "test_confirmations.py",
        "test_space_versions.py",
        "test_changed_limits.py",
        "test_devices.py",
        "test_evaluations.py",
        "client/test_remote.py",
        "test_collection.py",
        "api/test_studies.py",
        "api/test_trials.py",
        "api/test_events.py",
        "api/test_changes.py",
        "api/test_problems.py",
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    here = metafunc.definition.path.relative_to(Path(__file__).parent).as_posix()
    if here in ON_BOTH and "database_url" in metafunc.fixturenames:
        both = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
        metafunc.parametrize("database_url", both, indirect=True)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Start PostgreSQL from its wheel, once a session."""
    server = Postgres(tmp_path_factory.getbasetemp().parent / "postgres.lock")
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """Return the URL of an empty database."""
    return postgres.url(postgres.create(migrated=False))


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Return the database that `settings` names: None for SQLite in the data folder, or a new one."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield None
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(migrated=True)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    return Settings(home=tmp_path / "home", database_url=database_url)


@pytest.fixture
def service(settings: Settings, new_database: Path) -> Iterator[Service]:
    if settings.database_url is None:
        settings.data_home.mkdir(parents=True, exist_ok=True)
        shutil.copy(new_database, settings.data_home / "nas.db")
    opened = Service.open(settings)
    yield opened
    opened.close()
