"""Budgets in epochs are never exceeded, and give back what was not trained."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from nas_service.errors import InvalidInput
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.spec_file import read_spec
from nas_service.store.engine import writing
from nas_service.store.models import StudyRow, table
from nas_service.studies import Budget, Objective, Search, Stall, StudyChange, StudySpec, Training
from nas_service.trials import EpochReport, Lease, Outcome, Proposal, WorkerInfo

MakeProposal = Callable[..., Proposal]


class Team:
    """Workers of one study, as simple as can be."""

    def __init__(self, service: Service, make_proposal: MakeProposal, **spec: Any) -> None:
        self.service, self.make_proposal = service, make_proposal
        self.ledger = SqlLedger(service.engine, settings=service.settings)
        values: dict[str, Any] = {
            "dataset": "digits",
            "objectives": (Objective(metric="accuracy"), Objective(metric="params")),
            "training": Training(epochs=4, early_stopping="none"),
        }
        self.study = service.create_study(StudySpec(**{**values, **spec})).study
        info = WorkerInfo(name="worker", host="here", pid=1)
        self.worker = self.ledger.register(info).worker_id
        self.seed = 0

    def begin(self) -> Lease | None:
        self.seed += 1
        leases = self.ledger.reserve(self.study, self.worker, [self.make_proposal(self.seed)]).leases
        return leases[0] if leases else None

    def train(self, lease: Lease, epochs: int) -> None:
        for epoch in range(1, epochs + 1):
            self.ledger.report(lease, EpochReport(epoch=epoch, accuracy=0.5))

    def end(self, lease: Lease, state: str = "complete", **changes: Any) -> None:
        values: dict[str, Any] = {"metrics": {"accuracy": 0.5}, "reason": "as told", **changes}
        self.ledger.complete(lease, Outcome(report_id=f"report-{lease.trial_id}", state=state, **values))  # type: ignore[arg-type]


def test_a_candidate_starts_only_if_all_its_epochs_fit(service: Service, make_proposal: MakeProposal) -> None:
    team = Team(service, make_proposal, budget=Budget(trials=None, epochs=11))
    first, second, third = team.begin(), team.begin(), team.begin()
    assert first
    assert second
    assert third is None
    assert team.ledger.next_work(team.worker).kind == "idle"
    team.train(first, 1)
    team.end(first, "pruned")
    study = service.study(team.study)
    assert (study.epochs_spent, study.budget_epochs, study.state) == (1, 11, "running")
    third = team.begin()
    assert third
    assert team.begin() is None
    for lease in (second, third):
        team.train(lease, 4)
        team.end(lease)
    study = service.study(team.study)
    assert (study.state, study.epochs_spent) == ("finished", 9)
    assert study.reason == (
        "the budget of 11 epochs is used up: the 2 that are left are too few for another candidate"
    )


def test_an_epoch_trained_again_after_a_crash_counts_once(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, budget=Budget(trials=None, epochs=8))
    lease = team.begin()
    assert lease
    team.train(lease, 3)
    team.ledger.leave(team.worker)
    team.worker = team.ledger.register(WorkerInfo(name="other", host="here", pid=2)).worker_id
    again = team.ledger.next_work(team.worker).lease
    assert again
    assert again.attempt == 2
    team.train(again, 4)
    team.end(again)
    assert service.study(team.study).epochs_spent == 4


def test_what_was_trained_while_the_ledger_was_away_counts(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, budget=Budget(trials=None, epochs=8))
    lease = team.begin()
    assert lease
    team.train(lease, 1)
    team.end(lease, timings={"trained_epochs": 4.0})
    assert service.study(team.study).epochs_spent == 4


def test_the_first_bound_that_is_reached_ends_the_study(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, budget=Budget(trials=1, epochs=100))
    lease = team.begin()
    assert lease
    assert team.begin() is None
    team.end(lease)
    assert service.study(team.study).reason == "the budget of 1 trials is used up"


def test_a_budget_below_one_candidate_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"epochs \(5\) must be at least .* \(9\)"):
        read_spec({"dataset": "digits", "training": {"epochs": 9}, "budget": {"epochs": 5}})


def test_a_cancelled_study_has_spent_what_its_abandoned_trials_trained(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, search=Search(seed=3))
    lease = team.begin()
    assert lease
    team.train(lease, 2)
    assert service.cancel(team.study).epochs_spent == 2


def test_a_search_that_gains_too_little_ends(service: Service, make_proposal: MakeProposal) -> None:
    stall = Stall(trials=2, gain=0.1)
    team = Team(
        service,
        make_proposal,
        budget=Budget(stall=stall),
        objectives=(Objective(metric="accuracy"),),
    )
    running = [team.begin() for _ in range(6)]
    # In each pair of neighbours the hypervolume, here the best accuracy, grows by more than a tenth but for
    # the last.
    for lease, accuracy in zip(running, (0.5, 0.5, 0.6, 0.5, 0.62), strict=False):
        assert lease
        assert service.study(team.study).state == "running"
        team.end(lease, metrics={"accuracy": accuracy})
    study = service.study(team.study)
    assert (study.state, study.reason) == ("draining", "no hypervolume gain above 0.1 in the last 2 trials")
    last = running[-1]
    assert last
    # What runs is trained to its end, however good it is.
    team.end(last, metrics={"accuracy": 0.9})
    assert service.study(team.study).state == "finished"


def test_a_search_without_any_result_stalls_too(service: Service, make_proposal: MakeProposal) -> None:
    team = Team(service, make_proposal, budget=Budget(stall=Stall(trials=2)))
    for _ in range(2):
        lease = team.begin()
        assert lease
        team.end(lease, "failed")
    study = service.study(team.study)
    assert study.state == "finished"
    assert study.reason.startswith("none of the 2 trained candidates could enter the front")


def test_a_searched_out_study_that_is_given_more_is_searched_on(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, search=Search(max_infeasible_in_a_row=2), budget=Budget(trials=5))
    lease = team.begin()
    assert lease
    team.end(lease)
    for _ in range(2):
        # The same network again.
        team.seed -= 1
        team.begin()
    assert "searched out" in service.study(team.study).reason
    service.change_study(team.study, StudyChange.model_validate({"budget": {"trials": 9}}))
    assert team.ledger.next_work(team.worker).kind == "propose"
    assert team.begin()


def test_more_time_that_comes_while_a_study_drains_takes_effect(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, budget=Budget(minutes=1.0))
    lease = team.begin()
    assert lease
    run_out = update(table(StudyRow)).values(deadline=datetime.now(UTC) - timedelta(minutes=1))
    with writing(service.engine) as connection:
        connection.execute(run_out)
    team.ledger.next_work(team.worker)
    assert service.study(team.study).state == "draining"
    more = StudyChange.model_validate({"budget": {"minutes": 60.0}})
    assert service.change_study(team.study, more).state == "running"
    assert team.begin()
    # What a person asked for is not undone by the way.
    service.drain(team.study)
    assert service.change_study(team.study, more).state == "draining"


def test_a_budget_that_came_too_late_takes_effect_when_it_is_given_again(
    service: Service, make_proposal: MakeProposal
) -> None:
    team = Team(service, make_proposal, budget=Budget(trials=1))
    lease = team.begin()
    assert lease
    more = StudyChange.model_validate({"budget": {"trials": 3}})
    service.change_study(team.study, more)
    with writing(service.engine) as connection:
        connection.execute(update(table(StudyRow)).values(state="finished", reason="ended meanwhile"))
    assert service.change_study(team.study, more).state == "running"
