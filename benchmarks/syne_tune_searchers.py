"""Syne Tune's multi-objective searchers on the table."""

from datetime import UTC, datetime

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import Domain, randint
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import NonDominatedPriority
from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import (
    compute_epsilon_net,
    nondominated_sort,
)

from benchmarks.searchers import Known
from benchmarks.table.answers import Matrix, Table
from benchmarks.table.parameters import Parameters
from search_spaces import Architecture, RandomTrial

METRICS = ["error", "params"]


class _Places(NonDominatedPriority):  # type: ignore[misc]
    """The place of each row in the non-dominated order, which is what both searchers take a priority to be.

    Syne Tune 0.16 returns that order itself instead: row numbers, best first. Its successive halving would
    read the last of them, the number of the worst row, as the place of the row that came last.
    """

    def priority_unsafe(self, objectives: Matrix) -> Matrix:
        places, start = np.empty(len(objectives)), 0
        for members in nondominated_sort(objectives, dim=self.dim, flatten=False):
            front = np.sort(members)
            places[front] = start + compute_epsilon_net(objectives[front], dim=self.dim)
            start += len(front)
        return places


class _Space:
    """The parameters of a space as Syne Tune wants them: a flat mapping, all of them always there.

    A value is the place of a choice, since choices of several types under one name are not foreseen.
    """

    def __init__(self, table: Table) -> None:
        self._parameters, self._table = Parameters.of(table.space, table.shape), table

    def domains(self) -> dict[str, Domain]:
        return {name: randint(0, len(choices) - 1) for name, choices in self._parameters.choices.items()}

    def architecture(self, config: dict[str, int], seed: int) -> Architecture:
        """Return what a configuration says; a parameter so rare that it has none is drawn."""
        fixed = {name: self._parameters.choices[name][place] for name, place in config.items()}
        return self._table.draw(RandomTrial(seed, fixed=fixed))


class MultiObjectiveAsha:
    """Asynchronous successive halving by non-dominated sorting (Schmucker et al. 2021), from random draws."""

    has_own_rungs = True

    def __init__(self, seed: int, table: Table, epochs: int) -> None:
        # It draws from numpy's own generator.
        np.random.seed(seed)
        self._space = _Space(table)
        self._scheduler = MOASHA(
            self._space.domains(),
            METRICS,
            time_attr="epoch",
            multiobjective_priority=_Places(),
            max_t=epochs,
            grace_period=1,
            reduction_factor=3,
        )
        self._proposed = 0

    def propose(self) -> Architecture:
        config = self._scheduler.suggest().config
        self._trial = Trial(trial_id=self._proposed, config=config, creation_time=datetime.now(UTC))
        self._scheduler.on_trial_add(self._trial)
        self._proposed += 1
        return self._space.architecture(config, self._proposed)

    def goes_on(self, rung: int, values: tuple[float, float]) -> bool:
        result = {"epoch": rung, **dict(zip(METRICS, values, strict=True))}
        return bool(self._scheduler.on_trial_result(self._trial, result) == SchedulerDecision.CONTINUE)

    def learn(self, architecture: Architecture, known: Known) -> None:
        self._scheduler.on_trial_remove(self._trial)


class MultiObjectiveEvolution:
    """Regularised evolution (Real et al. 2019) whose parents are picked by non-dominated sorting."""

    has_own_rungs = False

    def __init__(self, seed: int, table: Table, *, population: int) -> None:
        # Its first population is drawn from numpy's own generator.
        np.random.seed(seed)
        self._space = _Space(table)
        self._searcher = MultiObjectiveRegularizedEvolution(
            self._space.domains(),
            multiobjective_priority=_Places(),
            random_seed=seed,
            population_size=population,
        )
        self._proposed = 0

    def propose(self) -> Architecture:
        self._config = self._searcher.suggest()
        self._proposed += 1
        return self._space.architecture(self._config, self._proposed)

    def goes_on(self, rung: int, values: tuple[float, float]) -> bool:
        raise NotImplementedError

    def learn(self, architecture: Architecture, known: Known) -> None:
        self._searcher.on_trial_complete(self._proposed, self._config, list(known.values))
