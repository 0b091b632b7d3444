"""Non-negative time for each amount of work: the part of a latency that adds up over layers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

Array = NDArray[np.float64]
FOLDS = 10
# A network whose parts cost nothing as far as is known takes a nanosecond.
SHORTEST_MS = 1e-6


def fit_rates(amounts: Array, median_ms: Array, *, shrinkage: float, usual: Array | None = None) -> Array:
    """Return the milliseconds of one unit of each amount, none negative, that fit the latencies best.

    Least squares of relative errors. An amount that no network has gets no time.

    Args:
        amounts: (networks, amounts), none negative.
        median_ms: Of each network.
        shrinkage: How strongly rates are held at `usual`, in relative error.
        usual: Rates expected before anything is measured; zero without it.
    """
    shares = amounts / median_ms[:, None]
    scale = shares.mean(axis=0)
    scale[scale == 0] = 1
    strength = shrinkage * np.sqrt(len(median_ms))
    expected = np.zeros(amounts.shape[1]) if usual is None else usual * scale
    rows = np.vstack([shares / scale, strength * np.eye(len(scale))])
    targets = np.concatenate([np.ones(len(median_ms)), strength * expected])
    rates: Array = LinearRegression(positive=True, fit_intercept=False).fit(rows, targets).coef_ / scale
    return rates


def held_out_errors(parts: Array, median_ms: Array, fit: Callable[[Array, Array], Array]) -> Array:
    """Return the absolute errors of the logarithm of each latency, predicted without it, over ten folds."""
    errors = np.empty(len(median_ms))
    for fold in range(FOLDS):
        held = np.arange(len(median_ms)) % FOLDS == fold
        if held.any():
            predicted = parts[held] @ fit(parts[~held], median_ms[~held])
            errors[held] = np.abs(np.log(median_ms[held] / np.maximum(predicted, SHORTEST_MS)))
    return errors
