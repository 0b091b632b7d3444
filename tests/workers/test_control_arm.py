"""A share of the candidates is drawn at random, unseen by the sampler."""

from collections import Counter

import optuna
import pytest

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec
from nas_service.trials import Arm, Outcome, Proposal, Trial, WorkerInfo
from workers.control_arm import is_due
from workers.proposer import Proposer


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 5), (0.29, 5), (0.5, 10), (1.0, 20)])
def test_the_share_is_kept_to_the_candidate(share: float, expected: int) -> None:
    drawn: Counter[Arm] = Counter()
    for _ in range(20):
        drawn["random" if is_due(drawn, share) else "search"] += 1
    assert drawn["random"] == expected


def spec_of(share: float, trials: int) -> StudySpec:
    return StudySpec(
        dataset="digits",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=40_000.0)},
        search=Search(sampler="tpe", random_share=share),
        budget=Budget(trials=trials),
    )


def proposers(service: Service, spec: StudySpec, count: int) -> tuple[SqlLedger, int, list[Proposer]]:
    ledger = SqlLedger(service.engine, settings=service.settings)
    study = service.create_study(spec).study
    made = []
    for number in range(count):
        worker = ledger.register(WorkerInfo(name=f"worker-{number}", host="here", pid=1)).worker_id
        work = ledger.next_work(worker, study_id=study)
        assert work.study is not None
        made.append(Proposer(work.study, ledger, worker))
    return ledger, study, made


def trained(ledger: SqlLedger, study: int) -> list[Trial]:
    return [trial for trial in ledger.changes(study, 0).trials if trial.state != "infeasible"]


def test_several_workers_keep_the_share_together(service: Service) -> None:
    ledger, study, team = proposers(service, spec_of(0.25, 16), 4)
    for turn in range(16):
        proposed = team[turn % 4].propose()
        assert proposed is not None
        trial, lease = proposed
        metrics = {"accuracy": 0.5 + turn / 100}
        ledger.complete(lease, Outcome(report_id=f"report-{trial.id}", state="complete", metrics=metrics))
    drawn = Counter(trial.arm for trial in trained(ledger, study))
    assert drawn == {"random": 4, "search": 12}
    assert Counter(trial.arm for trial in service.trials(study).items if trial.state == "complete") == drawn


def test_the_sampler_is_not_told_of_the_control_arm(service: Service) -> None:
    ledger, study, (proposer,) = proposers(service, spec_of(0.5, 6), 1)
    for _ in range(6):
        proposed = proposer.propose()
        assert proposed is not None
        trial, lease = proposed
        outcome = Outcome(report_id=f"report-{trial.id}", state="complete", metrics={"accuracy": 0.9})
        ledger.complete(lease, outcome)
    assert proposer.propose() is None
    shown = proposer._replica.storage.get_all_trials(0)
    for trial in trained(ledger, study):
        is_told = shown[trial.ordinal].state is optuna.trial.TrialState.COMPLETE
        assert is_told == (trial.arm == "search")


def test_a_repeat_of_what_the_control_arm_trained_teaches_no_more_than_that_it_is_known(
    service: Service,
) -> None:
    ledger, study, (proposer,) = proposers(service, spec_of(0.5, 6), 1)
    while not (drawn := [trial for trial in trained(ledger, study) if trial.arm == "random"]):
        proposed = proposer.propose()
        assert proposed is not None
        outcome = Outcome(report_id=f"report-{proposed[0].id}", state="complete", metrics={"accuracy": 0.9})
        ledger.complete(proposed[1], outcome)
    again = Proposal(
        params=drawn[0].params,
        distributions=drawn[0].distributions,
        architecture=drawn[0].architecture,
        architecture_hash=drawn[0].architecture_hash,
        costs=drawn[0].metrics,
        violations={},
    )
    repeated = ledger.reserve(study, proposer._worker_id, [again])
    assert repeated.leases == []
    changes = ledger.changes(study, 0)
    proposer._replica.apply(changes)
    shown = proposer._replica.storage.get_trial(changes.repeats[-1].ordinal)
    assert shown.state is optuna.trial.TrialState.FAIL
    assert shown.user_attrs["architecture_hash"] == drawn[0].architecture_hash
    assert shown.user_attrs["figures"] == {}
