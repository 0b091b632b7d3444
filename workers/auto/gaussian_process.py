"""A Gaussian process over architectures and epochs (Rasmussen and Williams 2006, chapters 2 and 5).

What an architecture reaches behind an epoch is taken for a linear part and a smooth part (Matern 5/2) of its
features, which stay much the same from epoch to epoch, plus a level of the epoch, plus noise. So what a
candidate showed at a rung says something of where it would have ended, and of its likes.
"""

import math
from dataclasses import astuple, dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
JITTER = 1e-8


@dataclass(frozen=True, slots=True)
class Scales:
    """Standard deviations of the parts, relative to that of the targets, and lengths."""

    linear: float = 0.5
    smooth: float = 0.5
    level: float = 0.5
    noise: float = 0.2
    # In features, relative to the root of their number.
    length: float = 1.0
    # In factors of three between epochs.
    epoch_length: float = 3.0


# How far a scale may go.
BOUNDS = {
    "linear": (0.02, 3.0),
    "smooth": (0.02, 3.0),
    "level": (0.02, 3.0),
    "noise": (0.02, 1.0),
    "length": (0.2, 10.0),
    "epoch_length": (0.3, 30.0),
}


@dataclass(frozen=True, slots=True)
class Points:
    """Architectures at epochs: features (n, d), and log3 of the share of all epochs (n,), at most 0."""

    features: Matrix
    epochs: Matrix

    def __len__(self) -> int:
        return len(self.epochs)


class GaussianProcess:
    """What some observations say of any point.

    Args:
        points: Where something was observed.
        targets: (n,) what.
        scales: See `Scales`; `climb` finds better ones.
    """

    def __init__(self, points: Points, targets: Matrix, scales: Scales) -> None:
        self._points, self.scales = points, scales
        self._mean = float(targets.mean())
        self._deviation = float(targets.std()) or 1.0
        self._targets = (targets - self._mean) / self._deviation
        covariance = _covariance(points, points, scales)
        covariance[np.diag_indices_from(covariance)] += scales.noise**2 + JITTER
        factor = np.linalg.cholesky(covariance)
        self._log_determinant = 2.0 * float(np.log(np.diagonal(factor)).sum())
        self._factor = factor
        self._whitened = np.linalg.solve(factor, self._targets)

    @property
    def log_likelihood(self) -> float:
        """Log marginal likelihood of the observations (equation 2.30), and of scales near their defaults."""
        fit = -0.5 * float(self._whitened @ self._whitened)
        return fit - 0.5 * self._log_determinant + _log_prior(self.scales)

    @cached_property
    def _inverse(self) -> Matrix:
        """Of the factor; of many processes that are tried only one is asked for it."""
        return np.asarray(np.linalg.inv(self._factor), dtype=np.float64)

    def predict(self, points: Points) -> tuple[Matrix, Matrix]:
        """Return mean and standard deviation (m,) of what is there without noise."""
        across = _covariance(self._points, points, self.scales)
        explained = self._inverse @ across
        mean = explained.T @ self._whitened
        variance = _variance(points, self.scales) - (explained**2).sum(axis=0)
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        return self._mean + self._deviation * mean, self._deviation * deviation


def climb(
    points: Points, targets: Matrix, scales: Scales, tries: int, generator: np.random.Generator
) -> GaussianProcess:
    """Fit, and look so many times for scales of greater likelihood around the ones given."""
    best = GaussianProcess(points, targets, scales)
    likelihood = best.log_likelihood
    for _ in range(tries):
        other = GaussianProcess(points, targets, _moved(best.scales, generator))
        if other.log_likelihood > likelihood:
            best, likelihood = other, other.log_likelihood
    return best


def _moved(scales: Scales, generator: np.random.Generator) -> Scales:
    """Return the scales with one or two of them a random factor larger or smaller."""
    names = generator.choice(list(BOUNDS), size=int(generator.integers(1, 3)), replace=False)
    changed = {
        str(name): float(np.clip(getattr(scales, name) * math.exp(generator.normal(0.0, 0.6)), *BOUNDS[name]))
        for name in names
    }
    return replace(scales, **changed)


def _log_prior(scales: Scales) -> float:
    """Log-normal around the defaults, wide: with a handful of observations the likelihood alone runs away."""
    ratios = np.log(np.array(astuple(scales)) / np.array(astuple(Scales())))
    return -0.5 * float((ratios**2).sum())


def _covariance(one: Points, other: Points, scales: Scales) -> Matrix:
    # A space of one architecture has no features at all.
    features = max(1, one.features.shape[1])
    linear = one.features @ other.features.T / features
    squares = (one.features**2).sum(axis=1)[:, None] + (other.features**2).sum(axis=1)[None, :]
    squared = np.maximum(squares / features - 2.0 * linear, 0.0) / scales.length**2
    root = np.sqrt(5.0 * squared)
    smooth = (1.0 + root + root**2 / 3.0) * np.exp(-root)
    apart = np.abs(one.epochs[:, None] - other.epochs[None, :])
    alike = np.exp(-apart / scales.epoch_length)
    parts = scales.linear**2 * linear + scales.smooth**2 * smooth
    return np.asarray(parts * alike + scales.level**2 * np.exp(-(apart**2) / 2.0), dtype=np.float64)


def _variance(points: Points, scales: Scales) -> Matrix:
    linear = (points.features**2).sum(axis=1) / max(1, points.features.shape[1])
    return np.asarray(scales.linear**2 * linear + scales.smooth**2 + scales.level**2, dtype=np.float64)
