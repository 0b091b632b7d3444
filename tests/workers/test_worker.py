"""The loop, on a real ledger and real data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Recipe, Search, StudySpec, Training
from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Proposal, WorkerInfo
from workers.attempt import Attempt
from workers.heartbeat import Heartbeat
from workers.patience import Patience
from workers.worker import Worker


def small_study(**changes: object) -> StudySpec:
    values: dict[str, object] = {
        "dataset": "digits",
        "objectives": (Objective(metric="accuracy"), Objective(metric="params")),
        "constraints": {"params": Constraint(max=20_000)},
        "training": Training(epochs=2, recipe=Recipe(deterministic=True)),
        "budget": Budget(trials=6),
        "search": Search(seed=4),
    }
    return StudySpec.model_validate({**values, **changes})


def joined(ledger: SqlLedger) -> int:
    return ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id


def work(ledger: SqlLedger, study: int, folder: Path, name: str = "worker", at_once: int = 1) -> None:
    information = WorkerInfo(name=name, host="here", pid=1)
    Worker(ledger, information, folder, study_id=study, until_finished=True, at_once=at_once).run()


def test_a_worker_uses_the_budget_exactly_and_leaves(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    study = service.create_study(small_study()).study
    work(ledger, study, tmp_path)
    view = service.study(study)
    assert (view.state, view.trials.trained, view.trials.running) == ("finished", 6, 0)
    assert service.front(study).front
    assert [worker.state for worker in service.workers()] == ["stopped"]
    for trial in service.trials(study, state="complete").items:
        complete = service.trial(trial.id)
        assert complete.metrics["params"] <= 20_000
        assert {"torch", "optuna", "python"} <= complete.versions.keys()
        assert all(service.artifact_path(sha).is_file() for sha in complete.artifacts.values())


def test_a_study_run_twice_has_the_same_trials_and_accuracies(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    runs = []
    for name in ("first", "second"):
        study = service.create_study(small_study()).study
        work(ledger, study, tmp_path, name)
        trials = [service.trial_by_number(study, item.number) for item in service.trials(study).items]
        runs.append([(t.number, t.state, t.params, t.metrics) for t in trials])
    assert runs[0] == runs[1]


def test_a_limit_that_no_draw_keeps_ends_the_study_with_the_reason(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    spec = small_study(
        # Some network of the space keeps it, so that the study is launched, but one in many thousands.
        constraints={"params": Constraint(max=250)},
        search=Search(max_infeasible_in_a_row=30, sampler="random"),
    )
    study = service.create_study(spec).study
    work(ledger, study, tmp_path)
    view = service.study(study)
    assert view.state == "failed"
    assert "params must be at most 250" in view.reason
    assert view.trials.trained == 0


def test_a_searched_out_space_finishes_with_what_was_found(
    service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    space = {
        "family": "two_conv",
        "override": {
            "depth": 1,
            "stage1": {"width": [8, 16], "downsample": "max"},
            "stage": {"branch": {"kernel": 3}},
            "head": {"dense_layers": 0},
        },
    }
    spec = small_study(space=space, search=Search(max_infeasible_in_a_row=10, sampler="random"))
    study = service.create_study(spec).study
    work(ledger, study, tmp_path)
    view = service.study(study)
    assert view.state == "finished"
    assert "searched out" in view.reason
    assert view.trials.trained == 2


class AwayLedger(SqlLedger):
    """A real ledger whose answers to the first results get lost, after the write or before."""

    failures = 3
    is_away = False

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        if self.is_away:
            raise LedgerUnavailable("cut off")
        return super().report(lease, report)

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        if self.failures == 2:
            super().complete(lease, outcome)
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("cut off")
        super().complete(lease, outcome)


class DeafLedger(SqlLedger):
    """A real ledger that misses an epoch of each trial, or answers it in vain."""

    missed, in_vain = 1, 4

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.cut_off: set[tuple[int, int]] = set()

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        if report.epoch in (self.missed, self.in_vain) and (lease.trial_id, report.epoch) not in self.cut_off:
            self.cut_off.add((lease.trial_id, report.epoch))
            if report.epoch == self.in_vain:
                super().report(lease, report)
            raise LedgerUnavailable("cut off")
        return super().report(lease, report)


def test_what_an_outage_kept_from_the_ledger_is_told_afterwards(service: Service, tmp_path: Path) -> None:
    training = Training(epochs=5, early_stopping="none", recipe=Recipe(deterministic=True))
    spec = small_study(budget=Budget(trials=2), training=training, constraints={"latency_ms": {"max": 1e3}})
    study = service.create_study(spec).study
    ledger = DeafLedger(service.engine, settings=service.settings)
    work(ledger, study, tmp_path)
    complete = service.trials(study, state="complete").items
    assert len(complete) == 2
    for trial in complete:
        assert [point.epoch for point in service.curve(trial.id)] == [1, 2, 3, 4, 5]


def test_the_latency_comes_with_the_first_epoch_that_is_heard(
    service: Service, tmp_path: Path, make_proposal: Callable[..., Proposal]
) -> None:
    ledger = DeafLedger(service.engine, settings=service.settings)
    study = service.create_study(small_study(constraints={})).study
    lease = ledger.reserve(study, joined(ledger), [make_proposal(1)]).leases[0]
    held = (ledger.next_work(lease.worker_id).study, service.trial(lease.trial_id), lease)
    with Heartbeat(lambda: ledger.heartbeat(lease), 60.0) as heartbeat:
        attempt = Attempt(ledger, Patience(), held, heartbeat)  # type: ignore[arg-type]
        first = EpochReport(epoch=1, accuracy=0.5, metrics={"latency_ms": 0.5}, resumed_from=1)
        assert attempt.tell(first) == "continue"
        assert "latency_ms" not in service.trial(lease.trial_id).metrics
        assert attempt.tell(EpochReport(epoch=2, accuracy=0.6)) == "continue"
    told = service.trial(lease.trial_id)
    assert told.metrics["latency_ms"] == 0.5
    ledger.report(lease, first)
    assert service.trial(lease.trial_id).reason == told.reason == "resumed from epoch 1 after a lost worker"


@pytest.mark.parametrize(("until", "answers"), [(2, ["continue", "prune"]), (5, ["continue"] * 5)])
def test_a_rung_that_was_missed_stops_nobody_who_is_far_beyond_it(
    until: int, answers: list[str], service: Service, make_proposal: Callable[..., Proposal]
) -> None:
    best = (Objective(metric="accuracy"),)
    training, budget = Training(epochs=8), Budget(trials=9)
    spec = small_study(objectives=best, constraints={}, training=training, budget=budget)
    study, ledger = service.create_study(spec).study, AwayLedger(service.engine, settings=service.settings)
    leases = ledger.reserve(study, joined(ledger), [make_proposal(seed) for seed in range(1, 5)]).leases
    for lease in leases[1:]:
        ledger.report(lease, EpochReport(epoch=1, accuracy=0.9))
    trial = service.trial(leases[0].trial_id)
    held = (ledger.next_work(leases[0].worker_id).study, trial, leases[0])
    with Heartbeat(lambda: ledger.heartbeat(leases[0]), 60.0) as heartbeat:
        attempt = Attempt(ledger, Patience(), held, heartbeat)  # type: ignore[arg-type]
        ledger.is_away = True
        found = []
        for epoch in range(1, until + 1):
            ledger.is_away = epoch < until
            found.append(attempt.tell(EpochReport(epoch=epoch, accuracy=0.3)))
    assert found == answers
    assert [point.epoch for point in service.curve(trial.id)] == list(range(1, until + 1))


def test_a_result_is_delivered_once_through_outages(service: Service, tmp_path: Path) -> None:
    ledger = AwayLedger(service.engine, settings=service.settings)
    study = service.create_study(small_study(budget=Budget(trials=2))).study
    work(ledger, study, tmp_path)
    assert service.study(study).trials.trained == 2
    assert ledger.failures == 0
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_left_over_result_is_delivered_or_dropped_by_the_next_life(
    attempt: int, service: Service, ledger: SqlLedger, tmp_path: Path, make_proposal: object
) -> None:
    from workers.spool import Finished, Spool

    study = service.create_study(small_study(budget=Budget(trials=1), constraints={})).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    lease = ledger.reserve(study, worker, [make_proposal(1)]).leases[0]  # type: ignore[operator]
    stale = lease.model_copy(update={"attempt": attempt})
    outcome = Outcome(report_id="report-old", state="complete", metrics={"accuracy": 0.123})
    Spool(tmp_path).put(Finished(stale, outcome, {}))
    work(ledger, study, tmp_path)
    assert list(tmp_path.glob("*.json")) == []
    is_delivered = service.trial(lease.trial_id).metrics["accuracy"] == 0.123
    assert is_delivered == (attempt == 1)
    assert service.study(study).trials.trained == 1
