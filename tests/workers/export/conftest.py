"""A study of digits with one trained trial."""

import sys
from pathlib import Path

import pytest

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from workers.export.trained import Trained, read_trained

# What the tests share is an ordinary module beside them.
sys.path.insert(0, str(Path(__file__).parent))

from filler import Filler


@pytest.fixture
def filler(service: Service, ledger: SqlLedger) -> Filler:
    return Filler(service, ledger)


@pytest.fixture
def trained(filler: Filler) -> Trained:
    return read_trained(filler.service, str(filler.study), filler.add("multi_scale"))


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "somewhere" / "network"
