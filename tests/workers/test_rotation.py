"""A worker whose token is revoked while it trains loses nothing: its next token delivers the result."""

from contextlib import closing
from pathlib import Path

import pytest

from nas_service.access import Role, TokenCreate
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import NotAdmitted
from nas_service.server import serving
from nas_service.service import Service
from nas_service.studies import Budget, Objective, StudySpec, Training
from nas_service.trials import Lease, Outcome, WorkerInfo
from workers.worker import Worker


class OverheardLedger(HttpLedger):
    """A real ledger whose token is revoked at the moment when a result is ready."""

    service: Service
    token_id: int

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        self.service.revoke_token(self.token_id)
        while True:
            # The server may remember for two seconds more that the token was good.
            self.heartbeat(lease)


def test_a_result_outlasts_the_token_it_was_trained_under(service: Service, tmp_path: Path) -> None:
    spec = StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=1, early_stopping="none"),
        budget=Budget(trials=1),
    )
    study = service.create_study(spec).study
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
