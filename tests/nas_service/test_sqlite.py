"""SQLite between processes: who waits for whom, and for how long."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store import engine as engines
from nas_service.store.engine import reading
from nas_service.studies import StudySpec
from nas_service.trials import WorkerInfo

SPEC = {"dataset": "digits"}


@pytest.fixture
def database(settings: Settings) -> Path:
    return settings.data_home / "nas.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.05)


@pytest.fixture
def http(impatient: None, service: Service, settings: Settings) -> Iterator[httpx.Client]:
    service.dataset("digits")
    with (
        serving(settings.model_copy(update={"port": 0})) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
    ):
        yield client


def test_a_database_that_another_process_keeps_locked_is_503_and_free_again(
    http: httpx.Client, database: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = http.post("/api/v1/studies", json=SPEC)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["type"] == "urn:nas:unavailable"
        assert "locked" in answer.json()["detail"]
        # Whoever only looks is not held up.
        assert http.get("/api/v1/studies").json()["items"] == []
        assert http.get("/readyz").status_code == 200
        other.execute("ROLLBACK")
    assert http.post("/api/v1/studies", json=SPEC).status_code == 201


def test_a_key_tried_while_the_database_was_locked_is_still_good(http: httpx.Client, database: Path) -> None:
    key = {"Idempotency-Key": "once"}
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert http.post("/api/v1/studies", json=SPEC, headers=key).status_code == 503
        other.execute("ROLLBACK")
    assert http.post("/api/v1/studies", json=SPEC, headers=key).status_code == 201


def test_a_worker_may_ask_again(
    impatient: None, service: Service, settings: Settings, database: Path
) -> None:
    ledger = SqlLedger(engines.make_engine(settings.resolved_database_url), settings=settings)
    worker = WorkerInfo(name="worker", host="here", pid=1)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            ledger.register(worker)
        other.execute("ROLLBACK")
    assert ledger.register(worker).worker_id == 1


def test_a_page_that_is_being_read_never_holds_a_writer_up(impatient: None, service: Service) -> None:
    service.create_study(StudySpec(dataset="digits", name="first"))
    names = "SELECT name FROM studies ORDER BY id"
    with reading(service.engine) as reader:
        assert reader.exec_driver_sql(names).scalars().all() == ["first"]
        for number in range(20):
            service.create_study(StudySpec(dataset="digits", name=f"study-{number}"))
        # It sees what there was when it began.
        assert reader.exec_driver_sql(names).scalars().all() == ["first"]
    assert len(service.studies().items) == 21
