"""Real processes, real signals, and a checker that reads the raw rows."""

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import reading

sys.path.insert(0, str(Path(__file__).parent))

from machines import LEASE_S, Machines
from nursery import Nursery


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=None, lease_s=LEASE_S)


@pytest.fixture(scope="module")
def worker_nursery() -> Iterator[Nursery]:
    """What forks real workers, and servers; optimisers import `torch._dynamo` when the first is made."""
    modules = ("workers.worker", "workers.cli", "workers.evaluation", "workers.measuring", "torch._dynamo")
    with Nursery(*modules, "workers.training.fused.cpu.operation", "nas_service.server") as nursery:
        yield nursery


@pytest.fixture
def machines(worker_nursery: Nursery, settings: Settings, tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(worker_nursery, settings, tmp_path)
    yield machines
    machines.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def check_rows(service: Service) -> Callable[[int, int], None]:
    """Return a checker of a study's raw rows against what must hold after any fault."""

    def check(study: int, budget: int) -> None:
        with reading(service.engine) as connection:
            rows = connection.execute(text("SELECT * FROM trials ORDER BY number")).mappings().all()
            counters = (
                connection.execute(text("SELECT * FROM studies WHERE id = :id"), {"id": study})
                .mappings()
                .one()
            )
            ended = (
                connection.execute(text("SELECT data FROM events WHERE kind = 'trial.finished'"))
                .scalars()
                .all()
            )
        states = [row["state"] for row in rows]
        assert set(states) <= {"complete", "pruned", "infeasible", "failed"}
        assert [row["number"] for row in rows] == list(range(len(rows)))
        assert sum(state != "infeasible" for state in states) == budget
        for state in set(states):
            assert counters[state] == states.count(state)
        assert counters["running"] == counters["waiting"] == 0
        assert len(ended) == len(rows)
        assert all(row["report_id"] or row["state"] in ("infeasible", "failed") for row in rows)

    return check
