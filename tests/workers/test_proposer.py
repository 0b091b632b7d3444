"""Proposals through the ledger against plain Optuna, and against themselves."""

import warnings
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning

from nas_service.constraints import violations
from nas_service.errors import InvalidInput
from nas_service.ledger.sql import SqlLedger
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, SamplerName, Search, StudySpec
from nas_service.trials import Outcome, WorkerInfo
from search_spaces import Architecture, analyse, resolve_space
from workers.auto import Task
from workers.auto.observations import told
from workers.proposer import Proposer
from workers.replica import FAR_AWAY
from workers.samplers import make_sampler

Params = dict[str, object]
SMALL_SPACE = {"family": "two_conv", "override": {}}
LIMITS = {"params": Constraint(max=40_000.0)}


def spec_of(sampler: SamplerName, space: object, trials: int) -> StudySpec:
    return StudySpec(
        dataset="digits",
        space=space,
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        constraints=LIMITS,
        search=Search(sampler=sampler, seed=7),
        budget=Budget(trials=trials),
    )


def stand_in_accuracy(architecture_hash: str) -> float:
    """A figure that depends on the architecture alone."""
    return int(architecture_hash[:8], 16) / 2**32


def proposed(service: Service, spec: StudySpec) -> list[Params]:
    """Run a study to its end with one worker, and return all proposals in order, repeats included."""
    ledger = SqlLedger(service.engine, settings=service.settings)
    study_id = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name=f"worker-{study_id}", host="here", pid=1)).worker_id
    work = ledger.next_work(worker, study_id=study_id)
    assert work.study is not None
    proposer = Proposer(work.study, ledger, worker)
    while (found := proposer.propose()) is not None:
        trial, lease = found
        metrics = {"accuracy": stand_in_accuracy(trial.architecture_hash)}
        ledger.complete(lease, Outcome(report_id=f"report-{trial.id}", state="complete", metrics=metrics))
    changes = ledger.changes(study_id, 0)
    rows = [*changes.trials, *changes.repeats, *changes.forbidden]
    return [row.params for row in sorted(rows, key=lambda row: row.ordinal)]


def plain_optuna(spec: StudySpec, count: int) -> list[Params]:
    """Drive a plain Optuna study with the same sampler, the same space and the same results."""
    space = resolve_space(spec.space)
    task = Task.from_spec(spec, (1, 8, 8), 10)
    sampler = make_sampler(spec.search.sampler, spec.search.seed, task)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            trial = study.ask()
            architecture = space.sample(trial, (1, 8, 8), 10)
        costs = {name: float(value) for name, value in analyse(architecture).metrics().items()}
        excess = violations(costs, spec.constraints)
        is_feasible = all(value <= 0 for value in excess.values())
        if space.forbidden(architecture):
            trial.set_constraint("forbidden", 1.0)
            study.tell(trial, [METRICS["accuracy"].worst, FAR_AWAY])
            continue
        for name, value in excess.items():
            trial.set_constraint(name, value)
        accuracy = stand_in_accuracy(architecture.hash) if is_feasible else METRICS["accuracy"].worst
        for name, value in told(
            architecture.to_dict(), architecture.hash, {"accuracy": accuracy}, None, {}
        ).items():
            trial.set_user_attr(name, value)
        study.tell(trial, [accuracy, costs["params"]])
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize(
    ("sampler", "trials"), [("random", 60), ("tpe", 60), ("nsga2", 120), ("nsga3", 120), ("auto", 40)]
)
def test_one_worker_proposes_what_plain_optuna_proposes(
    sampler: SamplerName, trials: int, service: Service
) -> None:
    spec = spec_of(sampler, "multi_scale", trials)
    ours = proposed(service, spec)
    # What is infeasible or known is a row of Optuna's samplers, and of `auto` none.
    assert (len(ours) == trials) if sampler == "auto" else (len(ours) > trials)
    assert ours == plain_optuna(spec, len(ours))


def test_auto_trains_nothing_infeasible_and_the_study_says_how_much_was_left_out(service: Service) -> None:
    proposed(service, spec_of("auto", "multi_scale", 12))
    study = service.studies().items[0]
    assert (study.trials.trained, study.trials.infeasible, study.trials.repeats) == (12, 0, 0)
    assert service.result(study.study).left_out["params"] > 20


def test_repeats_are_told_to_the_sampler_as_plain_optuna_would_be(service: Service) -> None:
    spec = spec_of("tpe", SMALL_SPACE, 40)
    ours = proposed(service, spec)
    study = service.studies().items[0]
    assert study.trials.repeats > 0
    assert ours == plain_optuna(spec, len(ours))


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_forbidden_candidates_teach_the_sampler_and_never_become_trials(
    sampler: SamplerName, service: Service
) -> None:
    rules = [{"stage.fusion": "concat", "stage.channels": {"min": 32}}, {"depth": 2, "head.pool": "flatten"}]
    spec = spec_of(sampler, {"family": "multi_scale", "override": {"forbid": rules}}, 40)
    ours = proposed(service, spec)
    study = service.studies().items[0]
    assert (study.state, study.trials.trained) == ("finished", 40)
    assert study.trials.forbidden > 5
    space = resolve_space(spec.space)
    for item in service.trials(study.study, page_size=500).items:
        assert space.forbidden(Architecture.from_dict(service.trial(item.id).architecture)) is None
    assert ours == plain_optuna(spec, len(ours))


def test_a_space_that_forbids_everything_is_refused_and_names_the_rule(service: Service) -> None:
    space = {"family": "two_conv", "override": {"forbid": [{"stage.channels": {"min": 1}}]}}
    with pytest.raises(InvalidInput, match=r"the space forbids stage\.channels at least 1"):
        service.create_study(spec_of("auto", space, 5))
    assert service.studies().items == []


def test_gaussian_process_proposes_within_limits(service: Service) -> None:
    study_spec = spec_of("gp", SMALL_SPACE, 6)
    assert len(proposed(service, study_spec)) >= 6


def test_a_study_run_twice_proposes_the_same(tmp_path: Path) -> None:
    runs = []
    for name in ("first", "second"):
        service = Service.open(Settings(home=tmp_path / name))
        runs.append(proposed(service, spec_of("auto", "multi_scale", 25)))
        service.close()
    assert runs[0] == runs[1]


def test_a_second_worker_does_not_repeat_the_first_ones_proposals(service: Service) -> None:
    ledger = SqlLedger(service.engine, settings=service.settings)
    study_id = service.create_study(spec_of("random", "multi_scale", 20)).study
    found = []
    for name in ("one", "two"):
        worker = ledger.register(WorkerInfo(name=name, host="here", pid=1)).worker_id
        work = ledger.next_work(worker, study_id=study_id)
        assert work.study is not None
        proposer = Proposer(work.study, ledger, worker)
        found.append([taken[0].params for _ in range(3) if (taken := proposer.propose())])
    assert not [params for params in found[0] if params in found[1]]
    assert service.study(study_id).trials.repeats == 0


def test_presets_of_a_warm_start_teach_the_sampler(service: Service) -> None:
    spec = spec_of("tpe", SMALL_SPACE, 4).model_copy(update={"search": Search(warm_start=("presets",))})
    ledger = SqlLedger(service.engine, settings=service.settings)
    study = service.create_study(spec).study
    worker = ledger.register(WorkerInfo(name="worker", host="here", pid=1)).worker_id
    work = ledger.next_work(worker, study_id=study)
    assert work.study is not None
    assert work.lease is not None
    outcome = Outcome(report_id="report-preset", state="complete", metrics={"accuracy": 0.9})
    ledger.complete(work.lease, outcome)
    proposer = Proposer(work.study, ledger, worker)
    told = proposer._replica.storage.get_trial(0)
    assert told.state is optuna.trial.TrialState.COMPLETE
    assert told.params["depth"] == 1
    assert proposer.propose() is not None
