"""One search on the table: a sampler proposes, the table answers, epochs are counted."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from benchmarks.table.answers import RUNGS, Table
from nas_service.early_stopping import RungEntry, decide
from nas_service.front import hypervolume
from nas_service.studies import Objective
from search_spaces import Architecture, analyse
from workers.auto.observations import told
from workers.auto.sampler import AutoSampler
from workers.auto.task import Task

EPOCHS = RUNGS[-1]
REDUCTION = 3
# Of error and log10 of parameters: a network that errs on every second example, or has 10^5.5 parameters,
# adds nothing; volumes are told relative to the one down to no error and 10^2.5 parameters.
REFERENCE = (0.5, 5.5)
IDEAL = (0.0, 2.5)
# A sampler that repeats itself for so long has nothing left to propose.
MOST_REPEATS = 3000

Maker = Callable[[int, Table], BaseSampler]


def _auto(seed: int, table: Table) -> AutoSampler:
    objectives = (Objective(metric="error"), Objective(metric="params"))
    return AutoSampler(seed, Task(table.space, table.shape, 10, objectives, {}, EPOCHS))


# Each with the settings that its authors give it.
SAMPLERS: dict[str, Maker] = {
    "auto": _auto,
    "random": lambda seed, _: RandomSampler(seed=seed),
    "tpe": lambda seed, _: TPESampler(seed=seed),
    "tpe-group": lambda seed, _: TPESampler(seed=seed, multivariate=True, group=True),
    "nsga2": lambda seed, _: NSGAIISampler(seed=seed),
    "nsga3": lambda seed, _: NSGAIIISampler(seed=seed),
    "gp": lambda seed, _: GPSampler(seed=seed, deterministic_objective=False),
}


@dataclass(slots=True)
class Run:
    """What a search found, and what it spent."""

    # (epochs spent so far, hypervolume) where the latter changed.
    steps: list[tuple[int, float]] = field(default_factory=list)
    epochs: int = 0
    trials: int = 0
    complete: int = 0
    repeats: int = 0
    proposal_s: float = 0.0


def search(table: Table, sampler: str, *, seed: int, epochs: int, has_rungs: bool) -> Run:
    """Search until so many epochs are spent, with or without early stopping at the rungs.

    A repeat costs nothing, whoever proposes it, and its sampler is told what is known.
    """
    run, search = Run(), _Search(table, has_rungs=has_rungs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize"] * 2, sampler=SAMPLERS[sampler](seed, table))
        while run.epochs < epochs and run.repeats < MOST_REPEATS:
            started = perf_counter()
            trial = study.ask()
            architecture = table.space.sample(trial, table.shape, 10)
            run.proposal_s += perf_counter() - started
            search.evaluate(study, trial, architecture, run)
    return run


class _Search:
    """The part of a study that knows what was trained."""

    def __init__(self, table: Table, *, has_rungs: bool) -> None:
        self._table, self._has_rungs = table, has_rungs
        self._known: dict[str, tuple[list[float], int, dict[int, float]]] = {}
        self._rungs: dict[int, list[RungEntry]] = {rung: [] for rung in RUNGS[:-1]}
        self._front = np.empty((0, 2))

    def evaluate(
        self, study: optuna.Study, trial: optuna.Trial, architecture: Architecture, run: Run
    ) -> None:
        """Answer a proposal, and tell the sampler."""
        key = architecture.hash
        params = analyse(architecture).params
        if key in self._known:
            run.repeats += 1
        else:
            accuracies = self._table.accuracies(architecture)
            reached = self._reached(len(self._known), accuracies, params)
            error = 1.0 - accuracies[RUNGS.index(reached)]
            earlier = {rung: a for rung, a in zip(RUNGS, accuracies, strict=True) if rung < reached}
            self._known[key] = ([error, math.log10(params)], reached, earlier)
            run.trials += 1
            run.epochs += reached
            if reached == EPOCHS:
                run.complete += 1
                self._count([error, math.log10(params)], run)
        values, reached, earlier = self._known[key]
        figures = {"error": values[0], "params": float(params)}
        for name, value in told(architecture.to_dict(), architecture.hash, figures, reached, earlier).items():
            trial.set_user_attr(name, value)
        study.tell(trial, values)

    def _reached(self, number: int, accuracies: tuple[float, ...], params: int) -> int:
        """Return how many epochs a candidate is trained for."""
        for rung, accuracy in zip(RUNGS[:-1], accuracies, strict=False):
            entry = RungEntry(number, (1.0 - accuracy, float(params)))
            others = self._rungs[rung]
            goes_on = not self._has_rungs or decide(entry, others, REDUCTION)
            others.append(entry)
            if not goes_on:
                return rung
        return EPOCHS

    def _count(self, values: list[float], run: Run) -> None:
        self._front = np.vstack([self._front, values])
        volume = relative_hypervolume(self._front)
        if not run.steps or volume > run.steps[-1][1]:
            run.steps.append((run.epochs, volume))


def relative_hypervolume(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Return the hypervolume of (error, log10 of parameters) rows, relative to the whole box."""
    box = (REFERENCE[0] - IDEAL[0]) * (REFERENCE[1] - IDEAL[1])
    return hypervolume(values, REFERENCE, ("min", "min")) / box
