"""The loop, on a real ledger and real data."""

from pathlib import Path

import pytest

from nas_service.ledger.protocol import LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Recipe, Search, StudySpec, Training
from nas_service.trials import Lease, Outcome, WorkerInfo
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

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        if self.failures == 2:
            super().complete(lease, outcome)
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailable("cut off")
        super().complete(lease, outcome)


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
