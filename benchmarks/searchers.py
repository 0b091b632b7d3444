"""Who searches the table: samplers of this service and of others behind one interface."""

import math
from dataclasses import dataclass
from typing import Protocol

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler

from benchmarks.table.answers import Table
from benchmarks.table.draws import CLASSES
from nas_service.studies import Objective
from search_spaces import Architecture
from workers.auto.observations import told
from workers.auto.task import Task
from workers.samplers import MAKERS, make_sampler


@dataclass(frozen=True, slots=True)
class Known:
    """What a search knows of an architecture whose training ended, at the last rung or before."""

    error: float
    params: int
    # How many epochs it was trained for.
    reached: int
    # Its accuracy at the rungs before.
    earlier: dict[int, float]

    @property
    def values(self) -> tuple[float, float]:
        """The objectives, both to be minimised."""
        return self.error, math.log10(self.params)


class Searcher(Protocol):
    """Proposes architectures one at a time and hears of each before the next."""

    # Whether it decides itself who is trained beyond a rung.
    has_own_rungs: bool

    def propose(self) -> Architecture:
        """Return the next candidate."""

    def goes_on(self, rung: int, values: tuple[float, float]) -> bool:
        """Return whether the candidate is trained beyond a rung; asked only with `has_own_rungs`."""

    def learn(self, architecture: Architecture, known: Known) -> None:
        """Hear what became of the candidate, which may be a repeat."""


class OptunaSearcher:
    """An Optuna sampler, or one of ours, which has the same interface."""

    has_own_rungs = False

    def __init__(self, sampler: BaseSampler, table: Table) -> None:
        self._study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
        self._table = table

    def propose(self) -> Architecture:
        self._trial = self._study.ask()
        return self._table.space.sample(self._trial, self._table.shape, CLASSES)

    def goes_on(self, rung: int, values: tuple[float, float]) -> bool:
        raise NotImplementedError

    def learn(self, architecture: Architecture, known: Known) -> None:
        figures = {"error": known.error, "params": float(known.params)}
        seen = told(architecture.to_dict(), architecture.hash, figures, known.reached, known.earlier)
        for name, value in seen.items():
            self._trial.set_user_attr(name, value)
        self._study.tell(self._trial, known.values)


# Those of the service, each with the settings that its authors give it, and TPE with those for conditions.
TPE_GROUP = "tpe-group"
# With a population that has several generations in the few trainings there are; 50 is Optuna's own.
SMALL_NSGA2, SMALL_POPULATION = "nsga2-10", 10
SAMPLERS = (*MAKERS, TPE_GROUP, SMALL_NSGA2)
# Syne Tune's, installed apart from the rest: see benchmarks/table/README.md.
SMALL_EVOLUTION = "mo-rea-20"
SYNE_TUNE = ("mo-asha", "mo-rea", SMALL_EVOLUTION)
SEARCHERS = (*SAMPLERS, *SYNE_TUNE)
OWN_RUNGS = ("mo-asha",)


def make_searcher(name: str, seed: int, table: Table, epochs: int) -> Searcher:
    """Return a searcher of `SEARCHERS` for networks that are trained for so many epochs at most.

    Raises:
        ModuleNotFoundError: It is Syne Tune's, which is not installed.
    """
    if name in SAMPLERS:
        return OptunaSearcher(_sampler(name, seed, table, epochs), table)
    # An optional dependency of one benchmark.
    from benchmarks.syne_tune_searchers import MultiObjectiveAsha, MultiObjectiveEvolution

    if name == "mo-asha":
        return MultiObjectiveAsha(seed, table, epochs)
    # 100, the authors' population, is more than is trained here; they pick parents among 10.
    return MultiObjectiveEvolution(seed, table, population=20 if name == SMALL_EVOLUTION else 100)


def _sampler(name: str, seed: int, table: Table, epochs: int) -> BaseSampler:
    if name == TPE_GROUP:
        return TPESampler(seed=seed, multivariate=True, group=True)
    if name == SMALL_NSGA2:
        return NSGAIISampler(population_size=SMALL_POPULATION, seed=seed)
    objectives = (Objective(metric="error"), Objective(metric="params"))
    return make_sampler(name, seed, Task(table.space, table.shape, CLASSES, objectives, {}, epochs))  # type: ignore[arg-type]
