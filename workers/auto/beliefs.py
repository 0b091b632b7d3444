"""What is believed of the metrics that no description tells: qualities, and latency until it is measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_service.metrics import METRICS
from nas_service.studies import Constraint
from workers.auto.gaussian_process import GaussianProcess, Points, Scales, climb
from workers.auto.improvement import at_most
from workers.auto.scales import to_scale

Matrix = NDArray[np.float64]
# With fewer figures than this nothing is believed.
FEWEST = 4
# How many other scales are tried with each fit, and with the first one.
TRIES, FIRST_TRIES = 2, 40


@dataclass(frozen=True, slots=True)
class Sighting:
    """A figure of an architecture behind an epoch."""

    features: Matrix
    epoch: float
    value: float


class Belief:
    """What is believed of one metric, on the scale of its model: odds of shares, logarithms of others."""

    def __init__(self, metric: str, epochs: int, generator: np.random.Generator) -> None:
        self._metric, self._epochs, self._generator = metric, epochs, generator
        self._scales = Scales()
        self._process: GaussianProcess | None = None
        # By architecture, until something is learnt.
        self._foretold: dict[str, tuple[float, float]] = {}

    @property
    def is_there(self) -> bool:
        return self._process is not None

    def learn(self, sightings: Sequence[Sighting]) -> None:
        """Fit anew to what was seen, and try a few other scales on the way."""
        if len(sightings) < FEWEST:
            return
        points = self._points([s.features for s in sightings], [s.epoch for s in sightings])
        targets = to_scale(self._metric, [s.value for s in sightings])
        tries = FIRST_TRIES if self._process is None else TRIES
        self._process = climb(points, targets, self._scales, tries, self._generator)
        self._scales = self._process.scales
        self._foretold = {}

    def of(self, rows: Mapping[str, Matrix]) -> tuple[Matrix, Matrix]:
        """Return mean and deviation behind the last epoch, (n,) each, for features by architecture's hash.

        What was foretold of an architecture is remembered until something is learnt.
        """
        assert self._process is not None, "nothing has been learnt"
        unknown = {key: row for key, row in rows.items() if key not in self._foretold}
        if unknown:
            points = Points(np.array(list(unknown.values())), np.zeros(len(unknown)))
            figures = zip(*(part.tolist() for part in self._process.predict(points)), strict=True)
            self._foretold.update(zip(unknown, figures, strict=True))
        found = np.array([self._foretold[key] for key in rows])
        return found[:, 0], found[:, 1]

    def chance(self, rows: Mapping[str, Matrix], limit: Constraint) -> Matrix:
        """Return the probability (n,) that a limit on the metric is kept."""
        mean, deviation = self.of(rows)
        chance = np.ones(len(rows))
        if limit.max is not None:
            chance *= at_most(to_scale(self._metric, [limit.max]), mean, deviation)
        if limit.min is not None:
            chance *= 1.0 - at_most(to_scale(self._metric, [limit.min]), mean, deviation)
        return chance

    def _points(self, features: Sequence[Matrix], epochs: Sequence[float]) -> Points:
        # Latency does not depend on training.
        is_trained = METRICS[self._metric].kind == "quality"
        shares = [epoch / self._epochs if is_trained else 1.0 for epoch in epochs]
        return Points(np.array(features), np.log(np.array(shares)) / math.log(3.0))
