"""Predicts the latency of networks that were never measured, from few that were, on one device.

What is known of a device is a list of measured networks; each amount of work of theirs gets a time. Another
device or runtime, measured on many networks, serves as a prior: what it says of a network is one of five
parts whose time on the new device ten measurements suffice to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from search_spaces.deployment import DeployedNetwork
from search_spaces.graph import Graph
from workers.prediction.additive import SHORTEST_MS, fit_rates, held_out_errors
from workers.prediction.features import NAMES, features
from workers.prediction.intervals import half_width, pooled
from workers.prediction.transfer import fit_corrections, known_parts

Array = NDArray[np.float64]
Network = DeployedNetwork | Graph

MIN_MEASUREMENTS = 30
MIN_MEASUREMENTS_WITH_PRIOR = 5
# Of rates towards zero, in relative error; keeps apart what nearly always comes together.
SHRINKAGE = 0.03


@dataclass(frozen=True, slots=True)
class Prediction:
    """A latency in milliseconds of one example, and an interval that holds it at a given level."""

    median_ms: float
    low_ms: float
    high_ms: float
    level: float


@dataclass(frozen=True, slots=True)
class LatencyPredictor:
    """Latency of any network on one device; made by `fit`, deterministic, and safe to pickle."""

    _prior: "LatencyPredictor | None"
    # Milliseconds of one unit of each amount of work, or of each part that the prior knows.
    _rates: Array
    # Absolute errors of the logarithm, on networks held out.
    _errors: Array
    # Of each amount of work, whether a measured network had any, here or on the prior's device.
    _is_measured: NDArray[np.bool_]

    @classmethod
    def fit(
        cls,
        networks: Sequence[Network],
        median_ms: Sequence[float] | Array,
        *,
        prior: "LatencyPredictor | None" = None,
    ) -> Self:
        """Return the predictor of the device that some networks were measured on.

        Args:
            networks: As they were measured, folded.
            median_ms: What was measured, in milliseconds.
            prior: Of another device or runtime; few measurements suffice beside it.

        Raises:
            ValueError: Too few measurements, or latencies that are no times.
        """
        measured = np.asarray(median_ms, dtype=np.float64)
        _check(len(networks), measured, MIN_MEASUREMENTS_WITH_PRIOR if prior else MIN_MEASUREMENTS)
        parts = _parts(networks, prior)
        is_measured = np.asarray((_amounts(networks) > 0).any(axis=0))
        if prior is None:
            errors = held_out_errors(parts, measured, _fit_rates)
            return cls(None, _fit_rates(parts, measured), errors, is_measured)
        errors = pooled(held_out_errors(parts, measured, fit_corrections), prior._errors)
        return cls(prior, fit_corrections(parts, measured), errors, is_measured | prior._is_measured)

    def predict(self, network: Network, *, level: float = 0.9) -> Prediction:
        """Return the latency of a network; below a millisecond.

        Args:
            network: As it will run, folded.
            level: How often the interval shall hold the measured latency.

        Raises:
            ValueError: A level that is no part of one.
        """
        return self.predict_all([network], level=level)[0]

    def predict_all(self, networks: Sequence[Network], *, level: float = 0.9) -> list[Prediction]:
        """Return the latency of each network; see `predict`."""
        if not 0 < level < 1:
            raise ValueError(f"level ({level}) must lie between 0 and 1")
        if not networks:
            return []
        reach = float(np.exp(half_width(self._errors, level)))
        return [Prediction(ms, ms / reach, ms * reach, level) for ms in self._milliseconds(networks).tolist()]

    def unmeasured(self, network: Network) -> tuple[str, ...]:
        """Return the operator classes of a network that no measured one had; they count as free."""
        amounts = _amounts([network])[0]
        columns = np.flatnonzero((amounts > 0) & ~self._is_measured)
        return tuple(dict.fromkeys(NAMES[column].partition(".")[0] for column in columns))

    def _milliseconds(self, networks: Sequence[Network]) -> Array:
        milliseconds: Array = np.maximum(_parts(networks, self._prior) @ self._rates, SHORTEST_MS)
        return milliseconds


def _amounts(networks: Sequence[Network]) -> Array:
    graphs = [network.graph if isinstance(network, DeployedNetwork) else network for network in networks]
    return np.array([features(graph) for graph in graphs])


def _parts(networks: Sequence[Network], prior: LatencyPredictor | None) -> Array:
    amounts = _amounts(networks)
    return amounts if prior is None else known_parts(amounts, prior._milliseconds(networks))


def _fit_rates(amounts: Array, median_ms: Array) -> Array:
    return fit_rates(amounts, median_ms, shrinkage=SHRINKAGE)


def _check(networks: int, measured: Array, fewest: int) -> None:
    if measured.shape != (networks,):
        raise ValueError(f"median_ms ({measured.size}) must have one entry a network ({networks})")
    if networks < fewest:
        raise ValueError(f"median_ms has {networks} measurements, it needs at least {fewest}")
    for index, value in enumerate(measured.tolist()):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"median_ms[{index}] ({value}) must be positive and finite")
