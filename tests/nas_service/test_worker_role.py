"""The role of PostgreSQL for workers: what it must not be able to do, and what it says of a schema too old.

That it can do all that a worker must is shown by the ledger's contract, which runs as this role.
"""

from collections.abc import Iterator

import pytest
from postgres import WORKER_ROLE, Postgres
from sqlalchemy import Engine, inspect, make_url, text
from sqlalchemy.exc import ProgrammingError

from nas_service.cli.main import run
from nas_service.errors import Unavailable
from nas_service.store.engine import make_engine, writing
from nas_service.store.migrate import upgrade
from nas_service.store.models import Base
from nas_service.store.worker_role import GRANTS, statements

pytestmark = pytest.mark.postgres


def as_role(url: str, role: str = WORKER_ROLE) -> Engine:
    return make_engine(make_url(url).set(username=role).render_as_string(hide_password=False))


@pytest.fixture
def worker(postgres: Postgres) -> Iterator[Engine]:
    name = postgres.create(migrated=True)
    engine = as_role(postgres.url(name))
    yield engine
    engine.dispose()
    postgres.drop(name)


def refused(engine: Engine, statement: str) -> None:
    denied = r"permission denied|must be (able|owner)|may (alter|create)"
    with pytest.raises(ProgrammingError, match=denied), writing(engine) as connection:
        connection.execute(text(statement))


def test_it_cannot_read_what_is_not_a_worker_s_business(worker: Engine) -> None:
    tables = {table.name for table in Base.metadata.sorted_tables}
    secret = tables - GRANTS.keys()
    assert {"tokens", "requests"} <= secret
    for name in secret:
        refused(worker, f"SELECT * FROM {name}")
        refused(worker, f"DELETE FROM {name}")


def test_it_cannot_delete_studies_nor_anything_else(worker: Engine) -> None:
    for name in GRANTS:
        refused(worker, f"DELETE FROM {name}")
        refused(worker, f"TRUNCATE {name} CASCADE")
    refused(worker, "INSERT INTO datasets (name) VALUES ('mine')")
    refused(worker, "UPDATE alembic_version SET version_num = '0000'")


def test_it_cannot_change_the_schema_nor_its_own_rights(worker: Engine) -> None:
    for statement in (
        "CREATE TABLE mine (id integer)",
        "ALTER TABLE studies ADD COLUMN mine integer",
        "DROP TABLE trials",
        "CREATE INDEX mine ON trials (id)",
        f"GRANT ALL ON tokens TO {WORKER_ROLE}",
        "CREATE ROLE friend",
        f"ALTER ROLE {WORKER_ROLE} SUPERUSER",
    ):
        refused(worker, statement)


def test_every_table_that_is_granted_is_there(worker: Engine) -> None:
    assert GRANTS.keys() <= set(inspect(worker).get_table_names())


def test_an_empty_database_is_not_migrated_by_it_and_the_reason_said(postgres: Postgres) -> None:
    name = postgres.create(migrated=False)
    # A role is the server's, not a database's.
    postgres.drop(postgres.create(migrated=True))
    engine = as_role(postgres.url(name))
    with pytest.raises(Unavailable, match="start the server first"):
        upgrade(engine)
    engine.dispose()
    postgres.drop(name)


def test_the_command_prints_sql_that_can_be_run_again(
    postgres: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.create(migrated=True)
    monkeypatch.setenv("NAS_DATABASE_URL", postgres.url(name))
    assert run(["db", "worker-role", "board"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == statements("board", name)
    for _ in range(2):
        postgres.execute(*printed, database=name)
    engine = as_role(postgres.url(name), "board")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM trials")).scalar() == 0
    engine.dispose()
    postgres.drop(name)


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE studies;--", "", "a-b", "1st"])
def test_a_name_that_would_need_quoting_is_refused(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_DATABASE_URL", "postgresql://nas@db.example/nas")
    assert run(["db", "worker-role", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
