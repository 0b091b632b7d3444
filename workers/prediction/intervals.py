"""Intervals that hold what they say: quantiles of errors on networks that were held out.

Conformal prediction over folds; Vovk et al. 2005, Algorithmic Learning in a Random World, chapter 2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Squared errors below count as none.
EXACT = 1e-24


def half_width(errors: Array, level: float) -> float:
    """Return how far an interval reaches to each side, in the unit of the errors.

    Args:
        errors: Absolute, of networks that were held out.
        level: Part of the networks whose latency the interval shall hold, above 0 and below 1.
    """
    ranked = np.sort(errors)
    # One network more than was held out must find its place, so the rank is taken among n + 1.
    rank = level * (len(ranked) + 1)
    if rank <= len(ranked):
        return float(np.interp(rank, np.arange(len(ranked) + 1), np.concatenate([[0.0], ranked])))
    # Beyond the largest error seen: twice as far is taken to be four times as rare.
    return float(ranked[-1] * np.sqrt(1 / ((1 - level) * (len(ranked) + 1))))


def pooled(errors: Array, earlier: Array) -> Array:
    """Return few errors together with many earlier ones, brought to the same root mean square.

    A deviation known from n errors alone is uncertain: as in Student's distribution, n / (n - 2) widens it.
    """
    scale = np.sqrt((errors**2).mean() / max((earlier**2).mean(), EXACT))
    together: Array = np.concatenate([errors, earlier * scale]) * np.sqrt(len(errors) / (len(errors) - 2))
    return together
