"""The SQL ledger, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest
from ledger_contract import LedgerContract
from measurement_contract import MeasurementContract

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.trials import WorkerInfo


class TestSqlLedger(LedgerContract, MeasurementContract):
    """Workers on the same machine, and the server itself."""


def test_a_database_that_is_away_is_told_apart_from_a_wrong_call(tmp_path: Path) -> None:
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    ledger = SqlLedger(engine, settings=Settings(home=tmp_path))
    with pytest.raises(LedgerUnavailable):
        ledger.register(WorkerInfo(name="worker", host="here", pid=1))
