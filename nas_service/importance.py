"""How much each parameter matters for being among the best trials: PED-ANOVA.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces" (IJCAI 2023, https://arxiv.org/abs/2304.10255), with conditional parameters as in "Conditional
PED-ANOVA" (https://arxiv.org/abs/2601.20800, theorem 4.2): the density of a parameter's values among the best
tenth is compared, by Pearson's divergence, with that among all. Grid, bandwidths and prior are those of
Optuna 5.0, whose figures these equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, erf, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nas_service.param_table import Domain, Param

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

TARGET_QUANTILE: Final = 0.1
GRID: Final = 50
_PRIOR_WEIGHT: Final = 1.0
_LEAST_IN_REGIME: Final = 2
# 1.64 deviations, which hold nine tenths, then span half a step of the grid.
_LEAST_SIGMA: Final = 0.5 / 1.64
_FLOOR: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Importances:
    """Importances by parameter, the largest first; only their proportions mean something."""

    values: dict[str, float]
    # Trials that they were computed from, and how many of these are the best that the rest is compared with.
    trials: int
    best: int


def importances(
    params: Mapping[str, Param], losses: Floats, *, quantile: float = TARGET_QUANTILE
) -> Importances:
    """Return how much each parameter matters for a low loss; milliseconds a parameter.

    Args:
        params: Each with an entry a trial.
        losses: One a trial, the lower the better; trials with NaN are left out.
        quantile: The share of trials that are called the best.
    """
    known = np.isfinite(losses)
    count = int(known.sum())
    if count < 2:
        return Importances(dict.fromkeys(params, 0.0), count, 0)
    last = ceil(quantile * count) - 1
    is_best = known & (losses <= np.partition(losses[known], last)[last])
    values = {name: _importance(param, known, is_best) for name, param in params.items()}
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return Importances(dict(ordered), count, int(is_best.sum()))


def _importance(param: Param, known: Mask, is_best: Mask) -> float:
    """Sum over the regimes, which are the domains that a parameter had, weighed by who was in them."""
    total, best = int(known.sum()), int(is_best.sum())
    found = 0.0
    for place, domain in enumerate(param.domains):
        among = known & (param.regimes == place)
        among_best = among & is_best
        if among.sum() < _LEAST_IN_REGIME or not among_best.any() or domain.is_single:
            continue
        weight = (among_best.sum() / best) ** 2 / (among.sum() / total)
        found += weight * _divergence(domain, param.values[among], param.values[among_best])
    return float(found * (best / total) ** 2)


def _divergence(domain: Domain, values: Floats, best: Floats) -> float:
    """Return Pearson's divergence of the best values' density from that of all."""
    density = _density(domain, _counts(domain, values)) + _FLOOR
    density_of_best = _density(domain, _counts(domain, best)) + _FLOOR
    return float(density @ (density_of_best / density - 1) ** 2)


def _counts(domain: Domain, values: Floats) -> Counts:
    """Count values by place on the grid: choices by themselves, numbers on at most `GRID` points."""
    if domain.choices is not None:
        return np.bincount(values.astype(np.int64), minlength=len(domain.choices))
    low, high = (np.log(domain.low), np.log(domain.high)) if domain.log else (domain.low, domain.high)
    steps = GRID
    if domain.is_integer and domain.log:
        steps = min(int(np.ceil(np.log(domain.high - domain.low + 1) / np.log(2))) + 1, GRID)
    elif domain.step is not None:
        steps = min(round((domain.high - domain.low) / domain.step) + 1, GRID)
    scaled = (np.log(values) if domain.log else values) - low
    # A value in the middle between two points goes to the lower one.
    places = np.ceil(scaled / ((high - low) / (steps - 1)) - 0.5).astype(np.int64)
    return np.bincount(np.clip(places, 0, steps - 1), minlength=steps)


def _density(domain: Domain, counts: Counts) -> Floats:
    """Return a Parzen estimator's mass on each place of the grid, with a flat prior of weight 1."""
    observed = np.flatnonzero(counts)
    weights = np.append(counts[observed], _PRIOR_WEIGHT)
    kernels = (
        _categorical_kernels(observed, len(counts))
        if domain.choices is not None
        else _normal_kernels(observed, counts[observed], len(counts))
    )
    return np.asarray(weights / weights.sum() @ kernels, np.float64)


def _categorical_kernels(observed: Counts, count: int) -> Floats:
    """One row an observed choice and one for the prior: mostly itself, a little of everything."""
    kernels = np.full((len(observed) + 1, count), _PRIOR_WEIGHT / (len(observed) + 1))
    kernels[np.arange(len(observed)), observed] += 1
    return np.asarray(kernels / kernels.sum(axis=1, keepdims=True), np.float64)


def _normal_kernels(observed: Counts, weights: Counts, count: int) -> Floats:
    """One row an observed place and one for the prior: a normal curve, cut off at the ends of the grid."""
    means = np.append(observed, (count - 1) / 2.0)[:, None]
    sigmas = np.append(np.full(len(observed), max(_scott(observed, weights), _LEAST_SIGMA)), count)[:, None]
    edges = np.arange(count + 1)[None, :] - 0.5
    cumulated = _normal_cdf((edges - means) / sigmas)
    masses = np.diff(cumulated, axis=1)
    return np.asarray(masses / (cumulated[:, -1:] - cumulated[:, :1]), np.float64)


def _scott(observed: Counts, weights: Counts) -> float:
    """Return Scott's bandwidth (Multivariate Density Estimation, 1992) of places with weights."""
    cumulated = np.cumsum(weights)
    total = int(cumulated[-1])
    mean = float(observed @ weights) / total
    deviation = sqrt(float((observed - mean) ** 2 @ weights) / max(1, total - 1))
    first = int(np.searchsorted(cumulated, total // 4, side="left"))
    third = int(np.searchsorted(cumulated, total * 3 // 4, side="right"))
    spread = float(observed[min(len(observed) - 1, third)] - observed[first])
    return float(1.059 * min(spread / 1.34, deviation) * total**-0.2)


def _normal_cdf(values: Floats) -> Floats:
    return np.array([[0.5 * (1 + erf(value / sqrt(2))) for value in row] for row in values])
