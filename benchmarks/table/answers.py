"""What the table says of any architecture: its own figures, or those of a surrogate fitted to it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from benchmarks.table.data import SHAPES
from benchmarks.table.descriptions import DescriptionMap
from benchmarks.table.draws import CLASSES
from benchmarks.table.records import Training, read
from search_spaces import Architecture, RandomTrial, SearchSpace, analyse, resolve_space
from workers.auto.features import FeatureMap

Matrix = NDArray[np.float64]
Sight = Literal["features", "description"]
RUNGS = (1, 3, 9)
SAMPLES = 500
TREES = 100
FOLDS = 5
# How near to 0 and 1 an accuracy is believed to come.
MARGIN = 0.002


@dataclass(frozen=True, slots=True)
class Errors:
    """How far the surrogate is off on rows it was not fitted to."""

    rows: int
    # Of the accuracy behind the last epoch.
    mean_absolute_error: float
    rank_correlation: float
    # Of two seeds of one row, the mean absolute difference; how many rows have two.
    seed_difference: float
    second_seeds: int


class Table:
    """Answers for one data set, the same for all that ask.

    An architecture of the table has the accuracies of its first seed. Any other one has those that extremely
    randomised trees (Geurts et al. 2006) fitted to the table expect, on the scale of odds, and noise as large
    as that between two seeds and as alike between rungs, which depends on the architecture alone.

    Args:
        name: The data set.
        files: Trainings of its architectures.
        sees: What the trees are fitted to: the features that `auto` models too, or the bare description.
    """

    def __init__(self, name: str, *files: Path, sees: Sight = "features") -> None:
        self.name, self.shape, self.sees = name, SHAPES[name], sees
        self.space: SearchSpace = resolve_space("multi_scale")
        trainings = [t for t in read(*files).values() if len(t.accuracy) >= RUNGS[-1]]
        self._rows = {t.hash: _at_rungs(t) for t in trainings if t.seed == 0}
        self._first = [t for t in trainings if t.seed == 0]
        self._again = {t.row: t for t in trainings if t.seed == 1}
        samples = [self.draw(RandomTrial(seed)) for seed in range(SAMPLES)]
        self._row = _sight(sees, samples)
        self._inputs = np.array([self._row(self.draw(RandomTrial(0, fixed=t.params))) for t in self._first])
        self._targets = _odds(np.array([_at_rungs(t) for t in self._first]))
        self._trees = _fitted(self._inputs, self._targets)
        self._noise = self._seed_noise()
        self._known: dict[str, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._first)

    def draw(self, trial: RandomTrial) -> Architecture:
        """Return the architecture of a trial's answers on this data set."""
        return self.space.sample(trial, self.shape, CLASSES)

    def accuracies(self, architecture: Architecture) -> tuple[float, ...]:
        """Return the accuracy behind each of `RUNGS`."""
        key = architecture.hash
        if key in self._rows:
            return self._rows[key]
        if key not in self._known:
            expected = self._trees.predict(self._row(architecture)[None])[0]
            self._known[key] = tuple(_share(expected + self._noise @ _draws(key)))
        return self._known[key]

    def errors(self) -> Errors:
        """Return the surrogate's errors, each row predicted by trees that were fitted to the other folds."""
        predicted = np.empty(len(self))
        order = np.random.default_rng(0).permutation(len(self))
        for held_out in np.array_split(order, FOLDS):
            others = np.setdiff1d(order, held_out)
            trees = _fitted(self._inputs[others], self._targets[others])
            predicted[held_out] = _share(trees.predict(self._inputs[held_out]))[:, -1]
        actual = np.array([_at_rungs(t)[-1] for t in self._first])
        pairs = [
            (t.accuracy[-1], self._again[t.row].accuracy[-1]) for t in self._first if t.row in self._again
        ]
        apart = [abs(one - other) for one, other in pairs]
        return Errors(
            rows=len(self),
            mean_absolute_error=float(np.abs(predicted - actual).mean()),
            rank_correlation=float(np.corrcoef(_ranks(predicted), _ranks(actual))[0, 1]),
            seed_difference=float(np.mean(apart)) if apart else float("nan"),
            second_seeds=len(apart),
        )

    def _seed_noise(self) -> Matrix:
        """Return what turns independent draws into a single training's noise on the scale of odds.

        Its covariance between rungs is half of that of the differences between two seeds: what luck there was
        behind the first epoch says little of the last.
        """
        apart = [
            _odds(np.array(_at_rungs(t))) - _odds(np.array(_at_rungs(self._again[t.row])))
            for t in self._first
            if t.row in self._again
        ]
        if len(apart) <= len(RUNGS):
            return np.zeros((len(RUNGS), len(RUNGS)))
        differences = np.array(apart)
        covariance = differences.T @ differences / (2.0 * len(differences))
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def _sight(sees: Sight, samples: Sequence[Architecture]) -> Callable[[Architecture], Matrix]:
    """Return what turns an architecture into what the trees see of it."""
    if sees == "description":
        return DescriptionMap(samples)
    features = FeatureMap([(architecture, analyse(architecture)) for architecture in samples])
    return lambda architecture: features(architecture, analyse(architecture))


def _at_rungs(training: Training) -> tuple[float, ...]:
    return tuple(training.accuracy[rung - 1] for rung in RUNGS)


def _fitted(inputs: Matrix, targets: Matrix) -> ExtraTreesRegressor:
    trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, max_features=0.5, random_state=0, n_jobs=1)
    return trees.fit(inputs, targets)


def _odds(share: Matrix) -> Matrix:
    return np.asarray(np.log((share + MARGIN) / (1.0 - share + MARGIN)), dtype=np.float64)


def _share(odds: Matrix) -> Matrix:
    ratio = np.exp(odds)
    return np.asarray(np.clip((ratio * (1.0 + MARGIN) - MARGIN) / (1.0 + ratio), 0.0, 1.0), dtype=np.float64)


def _draws(key: str) -> Matrix:
    """Return a draw of the standard normal distribution for each rung, which a hash decides."""
    seed = int.from_bytes(hashlib.sha256(f"noise:{key}".encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(len(RUNGS))


def _ranks(values: Sequence[float] | Matrix) -> Matrix:
    return np.argsort(np.argsort(values)).astype(np.float64)
