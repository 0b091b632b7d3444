"""Proposals of `auto` on a stand-in for training that depends on the architecture alone."""

import math

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial

from nas_service.constraints import violations
from nas_service.front import hypervolume
from nas_service.studies import Constraint, Objective, StudySpec
from nas_service.trials import LEFT_OUT
from search_spaces import Architecture, RandomTrial, analyse
from workers.auto import AutoSampler, Task
from workers.auto.candidates import Candidate, CandidateSource
from workers.auto.features import FeatureMap
from workers.auto.judge import Judge
from workers.auto.observations import Reader, told
from workers.auto.pool import Entry

MNIST = (1, 28, 28)
OBJECTIVES = (Objective(metric="accuracy"), Objective(metric="params"))


def task_of(constraints: dict[str, Constraint] | None = None, space: object = "multi_scale") -> Task:
    spec = StudySpec(dataset="mnist", space=space, objectives=OBJECTIVES, constraints=constraints or {})
    return Task.from_spec(spec, MNIST, 10)


def stand_in_accuracy(architecture: Architecture) -> float:
    """Larger networks learn better, those with attention and wide kernels a good deal so."""
    cost = analyse(architecture)
    kinds = [stage.attention is not None for stage in architecture.stages]
    sees = math.log2(max(cost.receptive_field.largest))
    odds = 0.35 * math.log2(cost.params) + 0.8 * sum(kinds) / len(kinds) + 0.3 * sees - 5.0
    return 1.0 / (1.0 + math.exp(-odds))


def search(sampler: optuna.samplers.BaseSampler, task: Task, count: int) -> list[Architecture]:
    """Propose and tell so many times."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    found = []
    for _ in range(count):
        trial = study.ask()
        architecture = task.space.sample(trial, task.input_shape, task.classes)
        values = [stand_in_accuracy(architecture), float(analyse(architecture).params)]
        for name, value in told(
            architecture.to_dict(), architecture.hash, {"accuracy": values[0]}, None, {}
        ).items():
            trial.set_user_attr(name, value)
        figures = {"accuracy": values[0], "params": values[1]}
        for name, excess in violations(figures, task.constraints).items():
            trial.set_constraint(name, excess)
        study.tell(trial, values)
        found.append(architecture)
    return found


def volume(found: list[Architecture]) -> float:
    rows = np.array([(stand_in_accuracy(a), math.log10(analyse(a).params)) for a in found])
    return hypervolume(rows, (0.5, 5.5), ("max", "min"))


def test_equal_seeds_give_equal_proposals_and_none_twice() -> None:
    task = task_of()
    runs = [search(AutoSampler(seed, task), task, 11) for seed in (5, 5, 6)]
    hashes = [[architecture.hash for architecture in run] for run in runs]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(hashes[0])) == 11


def test_it_finds_a_better_front_than_three_times_as_many_random_candidates() -> None:
    task = task_of()
    random = [task.draw(RandomTrial(seed)) for seed in range(90)]
    assert volume(search(AutoSampler(0, task), task, 30)) > volume(random)


@pytest.mark.parametrize("bound", [1500.0, 500.0])
def test_limits_that_few_candidates_keep_are_kept_by_all_proposals(bound: float) -> None:
    limits = {"params": Constraint(max=bound)}
    task = task_of(limits)
    for architecture in search(AutoSampler(1, task), task, 12):
        assert violations(analyse(architecture).metrics(), limits)["params"] <= 0


def test_with_a_limit_on_what_is_only_believed_it_looks_near_the_limit() -> None:
    limited, free = task_of({"accuracy": Constraint(min=0.95)}), task_of()
    reached, unlimited, random = (
        [stand_in_accuracy(architecture) for architecture in found]
        for found in (
            search(AutoSampler(1, limited), limited, 24)[12:],
            search(AutoSampler(1, free), free, 24)[12:],
            [free.draw(RandomTrial(seed)) for seed in range(60)],
        )
    )
    far_off = [float(np.median(np.abs(np.array(some) - 0.95))) for some in (reached, unlimited, random)]
    assert far_off[0] < 0.5 * min(far_off[1:])


def test_a_soft_limit_is_looked_beyond_but_not_far() -> None:
    bound = 800.0
    soft, free = task_of({"params": Constraint(max=bound, soft=True)}), task_of()
    limited, unlimited = (
        np.array([analyse(architecture).params / bound for architecture in found])
        for found in (
            search(AutoSampler(1, soft), soft, 40)[12:],
            search(AutoSampler(1, free), free, 40)[12:],
        )
    )
    assert 0.0 < np.mean(limited > 1.0) < 0.5 < np.mean(unlimited > 1.0)
    assert np.quantile(limited, 0.9) < 1.5


def test_what_a_limit_rejected_that_is_soft_by_now_is_known_and_on_no_front() -> None:
    task = task_of({"macs": Constraint(max=1000.0, soft=True)})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=AutoSampler(0, task))
    rejected = task.draw(RandomTrial(0))
    # Taught as an infeasible one is: with the worst of what was never measured.
    trial = study.ask()
    for name, value in told(rejected.to_dict(), rejected.hash, {"params": 1.0}, None, {}).items():
        trial.set_user_attr(name, value)
    trial.set_constraint("macs", 0.5)
    study.tell(trial, [0.0, 1.0])
    assert task.space.sample(study.ask(), MNIST, 10).hash != rejected.hash


def test_where_nothing_is_feasible_it_comes_as_near_as_it_can() -> None:
    task = task_of({"params": Constraint(max=10.0)})
    sampler = AutoSampler(1, task)
    sizes = [analyse(architecture).params for architecture in search(sampler, task, 20)]
    smallest_of_many = min(analyse(task.draw(RandomTrial(seed))).params for seed in range(500))
    assert min(sizes) <= smallest_of_many


def test_a_trial_says_what_was_left_out_before_it() -> None:
    task = task_of({"params": Constraint(max=20_000.0), "macs": Constraint(max=500_000.0)})
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=AutoSampler(1, task))
    for _ in range(2):
        study.ask()
    counts = [trial.system_attrs.get(LEFT_OUT, {}) for trial in study.trials]
    # The first candidates are drawn at once, before the first proposal.
    assert counts[0]["params"] > 20
    assert counts[0]["macs"] > 20
    assert sum(counts[1].values()) < sum(counts[0].values())


def test_a_space_that_is_used_up_is_proposed_again() -> None:
    space = {"depth": 1, "stage": {"width": 8, "branch": {"kernel": [3, 5]}}, "stage1": {"width": [4, 8]}}
    task = task_of(space=space)
    hashes = [architecture.hash for architecture in search(AutoSampler(0, task), task, 8)]
    assert len(set(hashes[:4])) == len(set(hashes)) == 4


def test_among_small_candidates_a_larger_one_still_promises_something() -> None:
    task = task_of()
    source = CandidateSource(task.draw, task.space, {}, seed=0)
    drawn = sorted((source.drawn() for _ in range(200)), key=lambda each: each.cost.params)
    features = FeatureMap([(each.architecture, each.cost) for each in drawn])
    judge = Judge(task, features, drawn, np.random.default_rng(0))
    entries = [Entry(each, features(each.architecture, each.cost)) for each in drawn]
    reader = Reader(task)
    reader.read([trained(each, stand_in_accuracy(each.architecture)) for each in drawn[:60:5]])
    judge.learn(reader.trials)
    # Where the search has come to: small ones, and one of middling size.
    promise = judge.promise([*entries[:60], entries[100]])
    assert promise[-1] > np.median(promise[:-1])


def trained(candidate: Candidate, accuracy: float) -> FrozenTrial:
    architecture = candidate.architecture
    extra = told(architecture.to_dict(), architecture.hash, {"accuracy": accuracy}, None, {})
    return optuna.create_trial(values=[accuracy, float(candidate.cost.params)], user_attrs=extra)


def test_what_a_person_enqueued_teaches_too() -> None:
    task = task_of()
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=AutoSampler(0, task))
    for seed in range(9):
        architecture = task.draw(RandomTrial(seed))
        values = [stand_in_accuracy(architecture), float(analyse(architecture).params)]
        extra = told(architecture.to_dict(), architecture.hash, {"accuracy": values[0]}, None, {})
        study.add_trial(optuna.create_trial(values=values, user_attrs=extra))
    proposed = task.space.sample(study.ask(), MNIST, 10)
    assert proposed.hash not in {task.draw(RandomTrial(seed)).hash for seed in range(9)}
