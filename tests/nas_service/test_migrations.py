"""The schema: made once, equal to the models, refused when newer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, select, text

from nas_service.store.engine import make_engine, reading, writing
from nas_service.store.migrate import NewerDatabase, upgrade
from nas_service.store.models import Base, SpaceRow, WorkerRow, table

AT = "2026-01-01 00:00:00"
# As the first schema wrote them.
STUDY = {
    "id": 1,
    "name": "old",
    "spec": '{"dataset": "digits", "space": "multi_scale"}',
    "state": "finished",
    "reason": "",
    "dataset_sha256": "abc",
    "input_shape": "[1, 8, 8]",
    "classes": 10,
    "created_at": AT,
    "max_fruitless": 500,
    **dict.fromkeys(("revision", "next_number", "next_ordinal", "complete"), 2),
    **dict.fromkeys(("fruitless_in_a_row", "waiting", "running", "pruned"), 0),
    **dict.fromkeys(("infeasible", "failed", "repeats"), 0),
}
TRIAL = {
    "study_id": 1,
    "state": "complete",
    "created_at": AT,
    **dict.fromkeys(("distributions", "attributes", "architecture", "metrics"), "{}"),
    **dict.fromkeys(("violations", "timings", "versions", "artifacts"), "{}"),
    **dict.fromkeys(("ordinal", "revision", "seed", "attempt"), 0),
}
DRAWN = {**TRIAL, "id": 1, "number": 0, "architecture_hash": "a", "params": '{"depth": 2}'}
ENQUEUED = {**TRIAL, "id": 2, "number": 1, "architecture_hash": "b", "params": "{}"}

WORKER = {
    "id": 1,
    "name": "old",
    "host": "here",
    "pid": 1,
    "device": "cpu",
    "versions": "{}",
    "heartbeat_at": 0.0,
    "started_at": AT,
    "has_left": False,
}


def test_the_migrated_schema_is_that_of_the_models(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/nas.db")
    upgrade(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_versions_of_spaces_are_added_to_what_was_there_and_taken_away_again(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/nas.db")
    check_second_migration(engine)


@pytest.mark.postgres
def test_versions_of_spaces_are_added_and_taken_away_on_postgres(postgres_url: str) -> None:
    with migrating(postgres_url, "migrating") as engine:
        check_second_migration(engine)


def check_second_migration(engine: Engine) -> None:
    """Carry a study with a drawn and an enqueued trial to the second schema and back."""
    moved(engine, "0001")
    with writing(engine) as connection:
        for name, values in (("studies", STUDY), ("trials", DRAWN), ("trials", ENQUEUED)):
            insert(connection, name, values)
    moved(engine, "0002")
    with reading(engine) as connection:
        assert [(row.version, row.space) for row in connection.execute(select(table(SpaceRow)))] == [
            (1, "multi_scale")
        ]
        trials = connection.execute(text("SELECT space_version, excluded FROM trials ORDER BY number")).all()
        assert trials == [(1, None), (None, None)]
        assert connection.execute(text("SELECT space_version, forbidden FROM studies")).all() == [(1, 0)]
    moved(engine, "0001")
    assert "spaces" not in inspect(engine).get_table_names()
    with reading(engine) as connection:
        assert len(connection.execute(text("SELECT * FROM trials")).all()) == 2


def test_measurements_are_added_to_what_was_there_and_taken_away_again(tmp_path: Path) -> None:
    check_third_migration(make_engine(f"sqlite:///{tmp_path}/nas.db"))


@pytest.mark.postgres
def test_measurements_are_added_and_taken_away_on_postgres(postgres_url: str) -> None:
    with migrating(postgres_url, "measuring") as engine:
        check_third_migration(engine)


def check_third_migration(engine: Engine) -> None:
    """Carry studies with and without a latency, a trial and a worker to the third schema and back."""
    moved(engine, "0002")
    timed = {"objectives": [{"metric": "accuracy"}, {"metric": "latency_ms"}], "constraints": {}}
    limited = {"objectives": [{"metric": "accuracy"}], "constraints": {"latency_ms": {"max": 2.0}}}
    untimed = {"objectives": [{"metric": "accuracy"}], "constraints": {}, "device": "cpu"}
    specs = ({**timed, "device": "cpu-torch"}, limited, untimed)
    with writing(engine) as connection:
        for place, spec in enumerate(specs, 1):
            study = {**STUDY, "id": place, "spec": json.dumps(spec), "forbidden": 0, "space_version": 1}
            insert(connection, "studies", study)
        insert(connection, "trials", DRAWN)
        insert(connection, "workers", WORKER)
    moved(engine, "0003")
    with reading(engine) as connection:
        devices = connection.execute(text("SELECT latency_device FROM studies ORDER BY id")).scalars().all()
        assert devices == ["cpu-torch", "cpu", None]
        assert connection.execute(text("SELECT released FROM trials")).scalars().all() == [0]
        workers = connection.execute(text("SELECT measures_only, noise FROM workers")).all()
        assert [(bool(only), noise) for only, noise in workers] == [(False, None)]
    moved(engine, "0002")
    assert not {"measurements", "measurement_requests"} & set(inspect(engine).get_table_names())
    with reading(engine) as connection:
        assert len(connection.execute(text("SELECT * FROM studies")).all()) == 3
        assert len(connection.execute(text("SELECT * FROM trials")).all()) == 1


def test_checkpoints_are_added_to_what_was_there_and_taken_away_again(tmp_path: Path) -> None:
    check_checkpoints_migration(make_engine(f"sqlite:///{tmp_path}/nas.db"))


@pytest.mark.postgres
def test_checkpoints_are_added_and_taken_away_on_postgres(postgres_url: str) -> None:
    with migrating(postgres_url, "checkpointing") as engine:
        check_checkpoints_migration(engine)


def check_checkpoints_migration(engine: Engine) -> None:
    """Carry a running trial and a worker to the schema with checkpoints and back."""
    moved(engine, "0004")
    with writing(engine) as connection:
        insert(connection, "studies", {**STUDY, "forbidden": 0, "space_version": 1})
        insert(connection, "trials", {**DRAWN, "state": "running"})
        insert(connection, "workers", WORKER)
    moved(engine, "0005")
    with reading(engine) as connection:
        kept = connection.execute(text("SELECT checkpoints, furthest_checkpoint FROM trials")).one()
        assert kept == (None, 0)
        assert connection.execute(select(table(WorkerRow))).one().is_draining is False
    moved(engine, "0004")
    with reading(engine) as connection:
        assert len(connection.execute(text("SELECT * FROM trials")).all()) == 1
        assert len(connection.execute(text("SELECT * FROM workers")).all()) == 1


def test_arms_and_budgets_in_epochs_are_added_and_taken_away_again(tmp_path: Path) -> None:
    check_arms_migration(make_engine(f"sqlite:///{tmp_path}/nas.db"))


@pytest.mark.postgres
def test_arms_and_budgets_in_epochs_are_added_and_taken_away_on_postgres(postgres_url: str) -> None:
    with migrating(postgres_url, "arming") as engine:
        check_arms_migration(engine)


def check_arms_migration(engine: Engine) -> None:
    """Carry a drawn and an enqueued trial to the schema with arms and back."""
    moved(engine, "0005")
    with writing(engine) as connection:
        insert(connection, "studies", {**STUDY, "forbidden": 0, "space_version": 1})
        insert(connection, "trials", {**DRAWN, "space_version": 1})
        insert(connection, "trials", ENQUEUED)
    moved(engine, "0006")
    with reading(engine) as connection:
        arms = connection.execute(text("SELECT arm FROM trials ORDER BY number")).scalars().all()
        assert arms == ["search", "enqueued"]
        budget = text("SELECT budget_epochs, epochs_spent, epochs_a_trial FROM studies")
        assert connection.execute(budget).one() == (None, 0, 0)
    moved(engine, "0005")
    with reading(engine) as connection:
        assert len(connection.execute(text("SELECT * FROM trials")).all()) == 2


def test_roles_are_given_to_the_tokens_that_were_there_and_taken_away_again(tmp_path: Path) -> None:
    check_fourth_migration(make_engine(f"sqlite:///{tmp_path}/nas.db"))


@pytest.mark.postgres
def test_roles_are_given_and_taken_away_on_postgres(postgres_url: str) -> None:
    with migrating(postgres_url, "admitting") as engine:
        check_fourth_migration(engine)


def check_fourth_migration(engine: Engine) -> None:
    """Carry tokens and a worker to the fourth schema and back, where lesser tokens must not open all."""
    moved(engine, "0003")
    with writing(engine) as connection:
        insert(connection, "workers", {**WORKER, "measures_only": False})
        for number, digit in enumerate("ab", 1):
            token = {"id": number, "sha256": digit * 64, "role": "all", "created_at": AT}
            insert(connection, "tokens", token)
    moved(engine, "0004")
    with writing(engine) as connection:
        tokens = connection.execute(text("SELECT role, name FROM tokens ORDER BY id")).all()
        assert tokens == [("admin", "first-start-aaaaaaaa"), ("admin", "first-start-bbbbbbbb")]
        assert connection.execute(text("SELECT token_id FROM workers")).scalars().all() == [None]
        lesser = {"name": "lesser", "role": "viewer", "created_at": AT, "sha256": "c" * 64}
        insert(connection, "tokens", {**lesser, "id": 3})
        connection.execute(text("UPDATE workers SET token_id = 1"))
    moved(engine, "0003")
    assert not {"sessions", "audit"} & set(inspect(engine).get_table_names())
    with reading(engine) as connection:
        good = connection.execute(text("SELECT id, role FROM tokens WHERE revoked_at IS NULL ORDER BY id"))
        assert good.all() == [(1, "all"), (2, "all")]
        assert len(connection.execute(text("SELECT * FROM workers")).all()) == 1


def insert(connection: Connection, name: str, values: dict[str, Any]) -> None:
    marks = ", ".join(f":{column}" for column in values)
    connection.execute(text(f"INSERT INTO {name} ({', '.join(values)}) VALUES ({marks})"), values)


@contextmanager
def migrating(url: str, schema: str) -> Iterator[Engine]:
    """Open a schema of its own within the database."""
    engine = make_engine(url)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    own = make_engine(f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}")
    yield own
    own.dispose()
    engine.dispose()


def moved(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "alembic"))
    config.set_main_option("path_separator", "os")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        current = MigrationContext.configure(connection).get_current_revision() or ""
        (command.upgrade if current < revision else command.downgrade)(config, revision)


@pytest.mark.postgres
def test_the_schema_is_made_on_postgres(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    upgrade(engine)
    assert {"studies", "trials", "events"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_eight_starting_at_once_migrate_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            upgrade(make_engine(f"sqlite:///{tmp_path}/nas.db"))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with reading(make_engine(f"sqlite:///{tmp_path}/nas.db")) as connection:
        assert len(connection.execute(text("SELECT * FROM alembic_version")).all()) == 1


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/nas.db")
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="9999"):
        upgrade(engine)
