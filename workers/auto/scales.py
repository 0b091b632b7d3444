"""The scales on which models see figures: odds of shares, logarithms of sizes and times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_service.metrics import METRICS

Matrix = NDArray[np.float64]
# How near to 0 and 1 a share is believed to come.
MARGIN = 0.005


def to_scale(metric: str, values: Sequence[float] | Matrix) -> Matrix:
    """Return figures of a metric on its model's scale; differences near 0 and 1 count as much as others."""
    plain = np.asarray(values, dtype=np.float64)
    if METRICS[metric].kind != "quality":
        return np.asarray(np.log(np.maximum(plain, 1e-12)), dtype=np.float64)
    share = np.clip(plain, 0.0, 1.0)
    return np.asarray(np.log((share + MARGIN) / (1.0 - share + MARGIN)), dtype=np.float64)


def from_scale(metric: str, scaled: Matrix) -> Matrix:
    """Return the figures that `to_scale` made these of."""
    if METRICS[metric].kind != "quality":
        return np.asarray(np.exp(scaled), dtype=np.float64)
    odds = np.exp(scaled)
    return np.asarray(np.clip((odds * (1.0 + MARGIN) - MARGIN) / (1.0 + odds), 0.0, 1.0), dtype=np.float64)
