"""The SQL ledger, on SQLite and on PostgreSQL; there as the least privileged role that workers may have."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from job_contract import JobContract
from ledger_contract import LedgerContract, MakeProposal, join, make_spec, replayed
from measurement_contract import MeasurementContract
from postgres import WORKER_ROLE
from sqlalchemy import make_url

from nas_service.access import Role, TokenCreate
from nas_service.errors import Conflict
from nas_service.ledger.protocol import LedgerUnavailable, NameTaken
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade
from nas_service.trials import EpochReport, WorkerInfo


class NamesContract:
    """Run by subclasses that provide the fixtures `ledger` and `service` (on the same data)."""

    def test_the_name_of_a_living_worker_belongs_to_its_token(
        self, ledger: SqlLedger, service: Service
    ) -> None:
        ids = [service.create_token(TokenCreate(name=name, role=Role.worker)).id for name in ("one", "other")]
        worker = WorkerInfo(name="worker", host="there", pid=1)
        first = ledger.register(worker, token_id=ids[0], takes_any_name=False).worker_id
        assert ledger.register(worker, token_id=ids[0], takes_any_name=False).worker_id == first
        with pytest.raises(NameTaken):
            ledger.register(worker, token_id=ids[1], takes_any_name=False)
        ledger.leave(first)
        assert ledger.register(worker, token_id=ids[1], takes_any_name=False).worker_id == first
        with pytest.raises(NameTaken):
            ledger.register(worker, token_id=ids[0], takes_any_name=False)
        service.revoke_token(ids[1])
        assert ledger.register(worker, token_id=ids[0], takes_any_name=False).worker_id == first

    def test_a_token_s_name_is_free_again_once_it_is_revoked(self, service: Service) -> None:
        wanted = TokenCreate(name="pi4", role=Role.worker)
        first = service.create_token(wanted)
        with pytest.raises(Conflict, match="pi4"):
            service.create_token(wanted)
        service.revoke_token(first.id)
        assert service.create_token(wanted).id != first.id


class TestSqlLedger(LedgerContract, MeasurementContract, JobContract):
    """Workers on the same machine, or with a role of the database; the server itself."""

    def test_who_was_cut_off_before_it_had_a_number_counts_at_the_rung(
        self,
        ledger: SqlLedger,
        service: Service,
        make_proposal: MakeProposal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        study, worker = service.create_study(make_spec()).study, join(ledger)
        leases = [ledger.reserve(study, worker, [make_proposal(seed)]).leases[0] for seed in (1, 2)]

        def away(*_: object) -> int:
            raise LedgerUnavailable("cut off")

        with monkeypatch.context() as patch:
            patch.setattr("nas_service.ledger.sql.arrive", away)
            with pytest.raises(LedgerUnavailable):
                ledger.report(leases[0], EpochReport(epoch=1, accuracy=0.9))
        assert ledger.report(leases[1], EpochReport(epoch=1, accuracy=0.5)) == "prune"
        assert ledger.report(leases[0], EpochReport(epoch=1, accuracy=0.9)) == "continue"
        assert [trial for trial, _, _ in replayed(service, study)] == [lease.trial_id for lease in leases]

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


class TestNamesOfWorkers(NamesContract):
    """As the server keeps them."""

    @pytest.fixture
    def ledger(self, service: Service) -> SqlLedger:
        return SqlLedger(service.engine, settings=service.settings)
