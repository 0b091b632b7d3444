"""What a study trains first, and studies that could train nothing."""

import pytest

from nas_service.errors import InvalidInput
from nas_service.feasibility import nearest
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Constraint, Objective, Search, StudySpec
from nas_service.trials import Outcome, WorkerInfo
from search_spaces import resolve_space

STAGE = {"branches": [[{"op": "conv", "channels": 8, "kernel": 3}]], "channels": 8, "downsample": "max"}


def spec_of(*starts: object, trials: int = 10, max_params: float = 50_000) -> StudySpec:
    return StudySpec(
        dataset="digits",
        space="two_conv",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=max_params)},
        search=Search(warm_start=starts),  # type: ignore[arg-type]  # as a person writes them
        budget=Budget(trials=trials),
    )


def test_presets_come_first_and_those_beyond_a_limit_are_left_out(service: Service) -> None:
    study = service.create_study(spec_of("presets")).study
    trials = service.trials(study).items
    assert [(trial.state, trial.arm) for trial in trials] == [("waiting", "enqueued")] * len(trials)
    assert [trial.reason for trial in trials] == [
        "warm start: the small preset",
        "warm start: the medium preset",
    ]
    (told,) = [event for event in service.events(study_id=study) if event.kind == "study.warm_start"]
    assert list(told.data["left_out"]) == ["the large preset"]
    assert "breaks the limit on params" in told.data["left_out"]["the large preset"]


def test_the_front_of_another_study_is_trained_anew_within_the_budget(
    service: Service, ledger: SqlLedger
) -> None:
    first = service.create_study(spec_of("presets")).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    for accuracy in (0.8, 0.9):
        lease = ledger.next_work(worker, study_id=first).lease
        assert lease
        metrics = {"accuracy": accuracy}
        outcome = Outcome(report_id=f"report-{lease.trial_id}", state="complete", metrics=metrics)
        ledger.complete(lease, outcome)
    second = service.create_study(spec_of(first, "presets", trials=1)).study
    (trial,) = service.trials(second).items
    assert trial.reason == f"warm start: trial 0 of study {first}"
    full = service.trial(trial.id)
    assert "accuracy" not in full.metrics
    assert full.params == service.trial_by_number(first, 0).params
    assert full.params.keys() == full.distributions.keys()


def test_a_given_architecture_must_keep_the_limits(service: Service) -> None:
    study = service.create_study(spec_of({"stages": [STAGE]})).study
    assert service.trials(study).items[0].reason == "warm start: given at launch"
    with pytest.raises(InvalidInput, match=r"warm_start.1: it breaks the limit on params"):
        service.create_study(spec_of("presets", {"stages": [STAGE], "head": {"dense": [64]}}, max_params=500))
    with pytest.raises(InvalidInput, match="there is no study 77"):
        service.create_study(spec_of(77))


def test_a_study_that_could_train_nothing_is_refused_with_what_would_do(service: Service) -> None:
    spec = spec_of(max_params=10)
    with pytest.raises(InvalidInput) as refusal:
        service.create_study(spec)
    (error,) = refusal.value.errors
    smallest = nearest(resolve_space("two_conv"), spec.constraints, (1, 8, 8), 10).metrics["params"]
    assert error.pointer == "/constraints/params/max"
    assert error.message.endswith(f"the smallest found has {smallest:,.0f}")
    assert service.studies().items == []
    assert service.preflight(spec, samples=50).refusal == error.message
    # What was named is there: with that bound it is launched.
    assert service.create_study(spec_of(max_params=smallest)).state == "running"


def test_what_no_random_draw_finds_is_found_by_descent() -> None:
    space = resolve_space("multi_scale")
    limits = {"params": Constraint(max=200), "macs": Constraint(max=20_000)}
    found = nearest(space, limits, (1, 28, 28), 10)
    assert found.is_feasible
    assert found.metrics["params"] <= 200
