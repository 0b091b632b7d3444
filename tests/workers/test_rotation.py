"""A worker whose token is revoked while it trains loses nothing: its next token delivers the result."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas_service.access import Role, TokenCreate
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import NotAdmitted
from nas_service.server import serving
from nas_service.service import Service
from nas_service.studies import Budget, Objective, StudySpec, Training
from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Proposal, WorkerInfo
from workers.delivery import Delivery
from workers.patience import Patience
from workers.spool import Finished, Spool
from workers.worker import Worker


class OverheardLedger(HttpLedger):
    """A real ledger whose token is revoked at the moment when a result is ready."""

    service: Service
    token_id: int

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        self.lose_token(lease)

    def lose_token(self, lease: Lease) -> None:
        self.service.revoke_token(self.token_id)
        while True:
            # The server may remember for two seconds more that the token was good.
            self.heartbeat(lease)


class RevokedLedger(OverheardLedger):
    """A real ledger whose token is revoked in the middle of a training."""

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        if report.epoch == 2:
            self.lose_token(lease)
        return super().report(lease, report)


def study_of(service: Service, epochs: int) -> int:
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=epochs, early_stopping="none"),
        budget=Budget(trials=1),
    )
    return service.create_study(spec).study


def test_a_trial_whose_worker_is_no_longer_let_in_waits_for_the_next(
    service: Service, tmp_path: Path
) -> None:
    study, spool = study_of(service, 3), tmp_path / "spool"
    information = WorkerInfo(name="worker", host="there", pid=1)
    with serving(service.settings.model_copy(update={"port": 0})) as address:
        first = service.create_token(TokenCreate(name="first", role=Role.worker))
        with closing(RevokedLedger(address, first.token, tmp_path / "cache")) as ledger:
            ledger.service, ledger.token_id = service, first.id
            with pytest.raises(NotAdmitted, match="revoked"):
                Worker(ledger, information, spool, study_id=study, until_finished=True).run()
        assert list(spool.glob("*.json")) == []
        (trial,) = service.trials(study).items
        assert trial.state == "running"
        second = service.create_token(TokenCreate(name="second", role=Role.worker))
        with closing(HttpLedger(address, second.token, tmp_path / "cache")) as ledger:
            Worker(ledger, information, spool, study_id=study, until_finished=True).run()
    (trial,) = service.trials(study, state="complete").items
    assert trial.attempt == 2


def test_a_result_waits_for_a_worker_of_its_own_token(
    service: Service, tmp_path: Path, make_proposal: Callable[..., Proposal]
) -> None:
    study = study_of(service, 1)
    spool = Spool(tmp_path / "spool")
    outcome = Outcome(report_id="left-behind", state="complete", metrics={"accuracy": 0.9})
    with serving(service.settings.model_copy(update={"port": 0})) as address:
        ledgers = []
        for name in ("owner", "other"):
            token = service.create_token(TokenCreate(name=name, role=Role.worker)).token
            ledgers.append(HttpLedger(address, token, tmp_path / name))
        owner, other = ledgers
        worker = owner.register(WorkerInfo(name="owner", host="there", pid=1)).worker_id
        spool.put(Finished(owner.reserve(study, worker, [make_proposal(1)]).leases[0], outcome, {}))
        for ledger, left in ((other, 1), (owner, 0)):
            delivery = Delivery(ledger, Patience(), tmp_path / "spool")
            delivery.deliver_leftovers()
            delivery.deliver_leftovers()
            assert len(list(spool.waiting())) == left
            ledger.close()
    assert service.trials(study, state="complete").items[0].metrics["accuracy"] == 0.9


def test_a_result_outlasts_the_token_it_was_trained_under(service: Service, tmp_path: Path) -> None:
    study = study_of(service, 1)
    information = WorkerInfo(name="worker", host="there", pid=1)
    spool = tmp_path / "spool"
    with serving(service.settings.model_copy(update={"port": 0})) as address:
        first = service.create_token(TokenCreate(name="first", role=Role.worker))
        with closing(OverheardLedger(address, first.token, tmp_path / "cache")) as ledger:
            ledger.service, ledger.token_id = service, first.id
            with pytest.raises(NotAdmitted, match="revoked"):
                Worker(ledger, information, spool, study_id=study, until_finished=True).run()
        assert len(list(spool.glob("*.json"))) == 1
        second = service.create_token(TokenCreate(name="second", role=Role.worker))
        with closing(HttpLedger(address, second.token, tmp_path / "cache")) as ledger:
            Worker(ledger, information, spool, study_id=study, until_finished=True).run()
    (trial,) = service.trials(study, state="complete").items
    assert (trial.attempt, trial.worker) == (1, "worker")
    assert list(spool.glob("*.json")) == []
