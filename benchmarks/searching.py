"""One search on the table: a sampler proposes, the table answers, epochs are counted."""

import warnings
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from benchmarks.searchers import Known, Searcher, make_searcher
from benchmarks.table.answers import RUNGS, Table
from benchmarks.table.draws import CLASSES
from nas_service.early_stopping import RungEntry, decide
from nas_service.front import hypervolume
from search_spaces import Architecture, analyse

EPOCHS = RUNGS[-1]
REDUCTION = 3
# Of error and log10 of parameters: a network that errs on every second example, or has 10^5.5 parameters,
# adds nothing; volumes are told relative to the one down to no error and 10^2.5 parameters.
REFERENCE = (0.5, 5.5)
IDEAL = (0.0, 2.5)
# A second look at the same fronts: from here nearly every network adds something.
FAR_REFERENCE = (0.9, 6.5)
# A searcher that repeats itself for so long has nothing left to propose.
MOST_REPEATS = 3000


@dataclass(slots=True)
class Run:
    """What a search found, and what it spent."""

    # (epochs spent so far, hypervolume) where the latter changed.
    steps: list[tuple[int, float]] = field(default_factory=list)
    # The same from `FAR_REFERENCE`.
    far_steps: list[tuple[int, float]] = field(default_factory=list)
    epochs: int = 0
    trials: int = 0
    complete: int = 0
    repeats: int = 0
    proposal_s: float = 0.0


def search(table: Table, name: str, *, seed: int, epochs: int, has_rungs: bool) -> Run:
    """Search until so many epochs are spent, with or without early stopping at the rungs.

    A repeat costs nothing, whoever proposes it, and its searcher is told what is known.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        searcher = make_searcher(name, seed, table, EPOCHS)
        run, search = Run(), _Search(table, searcher, has_rungs=has_rungs)
        while run.epochs < epochs and run.repeats < MOST_REPEATS:
            started = perf_counter()
            architecture = searcher.propose()
            run.proposal_s += perf_counter() - started
            search.evaluate(architecture, run)
    return run


class _Search:
    """The part of a study that knows what was trained."""

    def __init__(self, table: Table, searcher: Searcher, *, has_rungs: bool) -> None:
        self._table, self._searcher, self._has_rungs = table, searcher, has_rungs
        self._known: dict[str, Known] = {}
        self._rungs: dict[int, list[RungEntry]] = {rung: [] for rung in RUNGS[:-1]}
        self._front = np.empty((0, 2))

    def evaluate(self, architecture: Architecture, run: Run) -> None:
        """Answer a proposal, and tell the searcher."""
        known = self._known.get(architecture.hash)
        if known is not None:
            run.repeats += 1
        else:
            known = self._known[architecture.hash] = self._trained(architecture)
            run.trials += 1
            run.epochs += known.reached
            if known.reached == EPOCHS:
                run.complete += 1
                self._count(known.values, run)
        self._searcher.learn(architecture, known)

    def _trained(self, architecture: Architecture) -> Known:
        params, accuracies = analyse(architecture).params, self._table.accuracies(architecture)
        at_rungs = dict(zip(RUNGS, accuracies, strict=True))
        reached = EPOCHS
        for rung in RUNGS[:-1]:
            seen = Known(1.0 - at_rungs[rung], params, rung, {})
            if self._has_rungs and not self._goes_on(seen):
                reached = rung
                break
        earlier = {rung: accuracy for rung, accuracy in at_rungs.items() if rung < reached}
        return Known(1.0 - at_rungs[reached], params, reached, earlier)

    def _goes_on(self, seen: Known) -> bool:
        """Return whether a candidate is trained beyond the rung that it reached."""
        if self._searcher.has_own_rungs:
            return self._searcher.goes_on(seen.reached, seen.values)
        others = self._rungs[seen.reached]
        entry = RungEntry(len(self._known), (seen.error, float(seen.params)), 1.0 - seen.error)
        goes_on = decide(entry, others, REDUCTION, CLASSES)
        others.append(entry)
        return goes_on

    def _count(self, values: tuple[float, float], run: Run) -> None:
        self._front = np.vstack([self._front, values])
        for steps, reference in ((run.steps, REFERENCE), (run.far_steps, FAR_REFERENCE)):
            volume = relative_hypervolume(self._front, reference)
            if not steps or volume > steps[-1][1]:
                steps.append((run.epochs, volume))


def relative_hypervolume(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]], reference: tuple[float, float] = REFERENCE
) -> float:
    """Return the hypervolume of (error, log10 of parameters) rows, relative to the whole box."""
    box = (reference[0] - IDEAL[0]) * (reference[1] - IDEAL[1])
    return hypervolume(values, reference, ("min", "min")) / box
