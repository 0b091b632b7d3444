"""Limits of a study that changes its mind."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from nas_service.errors import InvalidInput
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.store.limits import OUTDATED
from nas_service.studies import Budget, Constraint, Objective, StudyChange, StudySpec
from nas_service.trials import Outcome, Proposal, WorkerInfo

LATENCY = {"median_ms": 1.0, "high_ms": 1.1, "p90_ms": 1.5}


def change(**constraints: Any) -> StudyChange:
    return StudyChange.model_validate({"constraints": constraints})


class Filled:
    """A study under 20,000 parameters with one trial over it, three trained below it and one that runs."""

    def __init__(self, service: Service, make_proposal: Callable[..., Proposal]) -> None:
        limits = {"params": Constraint(max=20_000), "latency_ms": Constraint(max=2.0, at="p90")}
        self.spec = StudySpec(dataset="digits", constraints=limits, budget=Budget(trials=4))
        self.study = service.create_study(self.spec).study
        self.ledger = SqlLedger(service.engine, settings=service.settings)
        self.worker = self.ledger.register(WorkerInfo(name="w", host="here", pid=1)).worker_id
        analytic = {"params": limits["params"]}
        proposals = [make_proposal(seed, analytic) for seed in range(1, 60)]
        small = [p for p in proposals if p.is_feasible and p.costs["params"] > 6000][:4]
        large = next(p for p in proposals if 20_000 < p.costs["params"] < 60_000)
        self.large = large
        reserved = self.ledger.reserve(self.study, self.worker, [large, *small])
        self.leases = reserved.leases
        for place, lease in enumerate(self.leases[:3]):
            self.end(lease, 0.9 + 0.01 * place)
        self.smallest = min(p.costs["params"] for p in small[:3])

    def end(self, lease: Any, accuracy: float) -> None:
        outcome = Outcome(
            report_id=uuid4().hex,
            state="complete",
            metrics={"accuracy": accuracy, "latency_ms": 1.0},
            violations={"params": -0.1, "latency_ms": -0.25},
            latency=LATENCY,
        )
        self.ledger.complete(lease, outcome)


@pytest.fixture
def filled(service: Service, make_proposal: Callable[..., Proposal]) -> Filled:
    return Filled(service, make_proposal)


def test_tighter_limits_take_trials_off_the_front_and_looser_ones_put_them_back(
    service: Service, filled: Filled
) -> None:
    before = service.front(filled.study)
    assert len(before.front) == 1
    service.change_study(filled.study, change(params=Constraint(max=filled.smallest)))
    tighter = service.front(filled.study)
    assert [member.values["params"] for member in tighter.front] == [filled.smallest]
    service.change_study(filled.study, change(latency_ms=Constraint(max=1.2, at="p90")))
    assert service.front(filled.study).front == []
    assert service.study(filled.study).space_version == 3
    service.change_study(filled.study, change(params=None, latency_ms=Constraint(max=2.0, at="p90")))
    assert service.front(filled.study).trials == before.trials
    assert service.study(filled.study).spec.constraints == {"latency_ms": Constraint(max=2.0, at="p90")}


def test_a_limit_that_becomes_soft_rejects_nobody_and_still_bounds_the_front(
    service: Service, filled: Filled
) -> None:
    soft = Constraint(max=filled.smallest, soft=True)
    service.change_study(filled.study, change(params=soft))
    assert [member.values["params"] for member in service.front(filled.study).front] == [filled.smallest]
    (after,) = service.trials(filled.study, state="infeasible").items
    assert after.excluded == OUTDATED


def test_what_a_worker_rejects_by_a_limit_that_is_soft_by_now_teaches_nothing(
    service: Service, filled: Filled
) -> None:
    service.change_study(filled.study, change(latency_ms=Constraint(max=2.0, at="p90", soft=True)))
    slow = Outcome(
        report_id=uuid4().hex,
        state="infeasible",
        reason="too slow",
        metrics={"latency_ms": 3.0},
        violations={"latency_ms": 0.5},
        latency={"median_ms": 3.0, "high_ms": 3.1, "p90_ms": 3.0},
    )
    filled.ledger.complete(filled.leases[3], slow)
    rejected = service.trials(filled.study, state="infeasible").items
    assert [trial.excluded for trial in rejected if "latency_ms" in trial.violations] == [OUTDATED]


def test_what_earlier_limits_rejected_teaches_nothing_once_it_is_allowed(
    service: Service, filled: Filled
) -> None:
    (rejected,) = service.trials(filled.study, state="infeasible").items
    service.change_study(filled.study, change(params=Constraint(max=60_000)))
    (after,) = service.trials(filled.study, state="infeasible").items
    assert (after.excluded, after.violations) == (OUTDATED, rejected.violations)
    service.change_study(filled.study, change(params=Constraint(max=20_000)))
    (again,) = service.trials(filled.study, state="infeasible").items
    assert (again.excluded, again.violations) == (None, rejected.violations)


def test_what_earlier_limits_rejected_stays_out_when_it_is_drawn_again(
    service: Service, filled: Filled
) -> None:
    service.change_study(
        filled.study,
        StudyChange.model_validate({"constraints": {"params": {"max": 60_000}}, "budget": {"trials": 9}}),
    )
    large = filled.large.model_copy(update={"violations": {"params": -0.1}, "space_version": 2})
    assert filled.ledger.reserve(filled.study, filled.worker, [large]).leases == []
    (after,) = service.trials(filled.study, state="infeasible").items
    assert after.excluded == OUTDATED


def test_what_a_narrower_space_and_earlier_limits_kept_out_is_still_untrained_when_drawn_again(
    service: Service, filled: Filled
) -> None:
    forbidding = {"family": "multi_scale", "override": {"depth": 1}}
    service.change_space(filled.study, forbidding)
    service.change_study(
        filled.study, StudyChange.model_validate({"constraints": {"params": None}, "budget": {"trials": 9}})
    )
    (rejected,) = service.trials(filled.study, state="infeasible").items
    assert rejected.excluded not in (None, OUTDATED)
    version = service.study(filled.study).space_version
    large = filled.large.model_copy(update={"violations": {}, "space_version": version})
    filled.ledger.reserve(filled.study, filled.worker, [large])
    (after,) = service.trials(filled.study, state="infeasible").items
    assert after.excluded == OUTDATED


def test_what_runs_meanwhile_is_judged_by_the_newest_limits(service: Service, filled: Filled) -> None:
    service.change_study(filled.study, change(params=Constraint(max=100)))
    filled.end(filled.leases[3], 0.99)
    newest = service.trials(filled.study, state="complete", order_by="accuracy").items[0]
    assert newest.violations["params"] > 1
    assert service.front(filled.study).front == []


def test_a_proposal_under_earlier_limits_is_refused(
    service: Service, filled: Filled, make_proposal: Callable[..., Proposal]
) -> None:
    service.change_study(filled.study, StudyChange.model_validate({"budget": {"trials": 50}}))
    late = make_proposal(77)
    service.change_study(filled.study, change(params=Constraint(max=100)))
    assert filled.ledger.reserve(filled.study, filled.worker, [late]).refused == 1


def test_a_latency_limit_needs_a_study_that_measures(service: Service) -> None:
    objectives = (Objective(metric="accuracy"), Objective(metric="params"))
    study = service.create_study(StudySpec(dataset="digits", objectives=objectives)).study
    with pytest.raises(InvalidInput, match="measures no latency"):
        service.change_study(study, change(latency_ms=Constraint(max=1.0)))
    with pytest.raises(ValueError, match="unknown metric"):
        change(parms=Constraint(max=1.0))
