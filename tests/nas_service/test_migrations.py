"""The schema: made once, equal to the models, refused when newer."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from nas_service.store.engine import make_engine, reading, writing
from nas_service.store.migrate import NewerDatabase, upgrade
from nas_service.store.models import Base


def test_the_migrated_schema_is_that_of_the_models(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/nas.db")
    upgrade(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


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
