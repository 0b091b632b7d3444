"""The SQL ledger, on SQLite and on PostgreSQL; there as the least privileged role that workers may have."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_contract import LedgerContract
from measurement_contract import MeasurementContract
from postgres import WORKER_ROLE
from sqlalchemy import make_url

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade
from nas_service.trials import WorkerInfo


class TestSqlLedger(LedgerContract, MeasurementContract):
    """Workers on the same machine, or with a role of the database; the server itself."""

    @pytest.fixture
    def ledger(self, service: Service, settings: Settings) -> Iterator[SqlLedger]:
        url = make_url(settings.resolved_database_url)
        if url.get_backend_name() == "postgresql":
            url = url.set(username=WORKER_ROLE)
        engine = make_engine(url.render_as_string(hide_password=False), pings=False)
        # As a worker does when it starts.
        upgrade(engine)
        yield SqlLedger(engine, settings=settings)
        engine.dispose()


def test_a_database_that_is_away_is_told_apart_from_a_wrong_call(tmp_path: Path) -> None:
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    ledger = SqlLedger(engine, settings=Settings(home=tmp_path))
    with pytest.raises(LedgerUnavailable):
        ledger.register(WorkerInfo(name="worker", host="here", pid=1))
