"""A space that is widened and narrowed while a study is searched by a real worker."""

import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import (
    Budget,
    Constraint,
    Objective,
    Recipe,
    SamplerName,
    Search,
    StudySpec,
    Training,
)
from nas_service.trials import Outcome, Repeat, Study, WorkerInfo
from search_spaces import resolve_space
from search_spaces.versions import carried
from workers.auto import Task
from workers.proposer import Proposer
from workers.replica import Replica
from workers.samplers import make_sampler, sampler_seed
from workers.worker import Worker

NARROW = {
    "depth": [2],
    "stage": {"width": [4, 8], "branch": {"kernel": [3]}, "downsample": "max"},
    "head": {"pool": "avg", "dense_layers": 0},
}
WIDE = {**NARROW, "depth": [2, 3], "stage": {**NARROW["stage"], "branch": {"kernel": [3, 5]}}}  # type: ignore[dict-item]


def spec_of(sampler: SamplerName = "tpe", trials: int = 14) -> StudySpec:
    return StudySpec(
        dataset="digits",
        space=NARROW,
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints={"params": Constraint(max=100_000)},
        training=Training(epochs=1, recipe=Recipe(batch_size=512)),
        search=Search(sampler=sampler, seed=3, max_infeasible_in_a_row=40),
        budget=Budget(trials=trials),
    )


def work(ledger: SqlLedger, study: int, folder: Path) -> None:
    """Have a worker go on until the study ends."""
    information = WorkerInfo(name="worker", host="here", pid=1)
    Worker(ledger, information, folder, study_id=study, until_finished=True).run()


def as_workers_see(ledger: SqlLedger, study: int, service: Service) -> Study:
    view = service.study(study)
    return Study(
        id=study,
        spec=view.spec,
        space_version=view.space_version,
        state=view.state,
        dataset_sha256=view.dataset_sha256,
        input_shape=(1, 8, 8),
        classes=10,
    )


def shown_to_the_sampler(ledger: SqlLedger, study: int, service: Service) -> Replica:
    replica = Replica(as_workers_see(ledger, study, service), teaches_infeasible=True)
    replica.apply(ledger.changes(study, 0))
    return replica


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_goes_on_in_a_wider_space_and_leaves_out_what_a_narrower_one_excludes(
    sampler: SamplerName, service: Service, ledger: SqlLedger, tmp_path: Path
) -> None:
    study = service.create_study(spec_of(sampler)).study
    work(ledger, study, tmp_path)
    first = service.study(study)
    # Four networks are all that the narrow space holds.
    assert (first.state, first.trials.complete) == ("finished", 4)
    assert "searched out" in first.reason

    service.change_space(study, WIDE)
    told = shown_to_the_sampler(ledger, study, service).storage.get_all_trials(0)
    counting = [trial for trial in told if trial.state is TrialState.COMPLETE]
    assert len(counting) == len(told)
    for trial in counting:
        assert trial.params["depth"] == 2
        assert trial.params["stage1.branch1.kernel"] == 3
        assert trial.distributions["stage1.branch1.kernel"] == CategoricalDistribution((3, 5))
    work(ledger, study, tmp_path)
    wide = service.study(study)
    assert (wide.state, wide.trials.trained) == ("finished", 14)
    items = service.trials(study).items
    assert {item.space_version for item in items} == {1, 2}
    assert service.front(study).hypervolume_history[-1].trials == 14

    service.change_space(study, NARROW)
    assert service.study(study).state == "finished"
    items = service.trials(study).items
    assert [item.number for item in items if item.excluded is None] == [0, 1, 2, 3]
    assert service.front(study).hypervolume_history[-1].trials == 4
    told = shown_to_the_sampler(ledger, study, service).storage.get_all_trials(0)
    for trial in told:
        assert trial.state in (TrialState.COMPLETE, TrialState.FAIL)
        assert trial.params.keys() <= {"stage1.width", "stage2.width"}
    counting = [trial for trial in told if trial.state is TrialState.COMPLETE]
    assert len({tuple(trial.values or ()) for trial in counting}) == 4


def test_the_sampler_learns_from_earlier_trials_as_plain_optuna_would(
    service: Service, ledger: SqlLedger
) -> None:
    study = service.create_study(spec_of()).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    proposer = Proposer(as_workers_see(ledger, study, service), ledger, worker)
    while (found := proposer.propose()) is not None:
        accuracy = {"accuracy": int(found[0].architecture_hash[:6], 16) / 2**24}
        ledger.complete(
            found[1], Outcome(report_id=f"report-{found[0].id}", state="complete", metrics=accuracy)
        )
    service.change_space(study, WIDE)
    plain = plain_study(ledger, study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        asked = plain.ask()
        resolve_space(WIDE).sample(asked, (1, 8, 8), 10)
    Proposer(as_workers_see(ledger, study, service), ledger, worker).propose()
    changes = ledger.changes(study, 0)
    first = min(
        (row for row in [*changes.trials, *changes.repeats] if row.space_version == 2),
        key=lambda row: row.ordinal,
    )
    assert first.params == asked.params


def plain_study(ledger: SqlLedger, study: int) -> optuna.Study:
    """Return a plain Optuna study that was told all that the narrow space drew, in the wide space's words."""
    changes = ledger.changes(study, 0)
    rows = sorted([*changes.trials, *changes.repeats], key=lambda row: row.ordinal)
    originals = {trial.id: trial for trial in changes.trials}
    task = Task.from_spec(spec_of(), (1, 8, 8), 10)
    sampler = make_sampler("tpe", sampler_seed(3, 0, len(rows)), task)
    plain = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for row in rows:
        found = carried(row.params, resolve_space(NARROW), resolve_space(WIDE), (1, 8, 8), 10)
        outcome = originals[row.trial_id if isinstance(row, Repeat) else row.id]
        assert found is not None
        told = optuna.create_trial(
            params=found.params,
            distributions={name: CategoricalDistribution(choices) for name, choices in found.choices.items()},
            values=[outcome.metrics["accuracy"], outcome.metrics["params"]],
        )
        plain.add_trial(told)
    return plain


def test_a_worker_that_proposes_from_an_earlier_space_does_no_harm(
    service: Service, ledger: SqlLedger
) -> None:
    study = service.create_study(spec_of()).study
    worker = ledger.register(WorkerInfo(name="late", host="here", pid=1)).worker_id
    late = Proposer(as_workers_see(ledger, study, service), ledger, worker)
    assert late.propose() is not None
    service.change_space(study, WIDE)
    assert late.propose() is None
    prompt = Proposer(as_workers_see(ledger, study, service), ledger, worker)
    proposed = prompt.propose()
    assert proposed is not None
    assert proposed[0].space_version == 2
    # It meets a row of a version that it does not know, and still does no harm.
    assert late.propose() is None
    assert service.study(study).trials.running == 2


def test_a_rule_that_is_gone_teaches_nothing_more(service: Service, ledger: SqlLedger) -> None:
    forbidding = {**NARROW, "forbid": [{"stage1.channels": 4}]}
    spec = spec_of().model_copy(update={"space": forbidding})
    study = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    proposer = Proposer(as_workers_see(ledger, study, service), ledger, worker)
    while service.study(study).trials.forbidden == 0:
        proposer.propose()
    violated = [
        trial.constraints
        for trial in shown_to_the_sampler(ledger, study, service).storage.get_all_trials(0)
        if "forbidden" in trial.constraints
    ]
    assert violated
    service.change_space(study, NARROW)
    told = shown_to_the_sampler(ledger, study, service).storage.get_all_trials(0)
    assert not [trial for trial in told if trial.constraints.get("forbidden")]
