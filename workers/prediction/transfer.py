"""What is known of a network's latency on a new device from its latency on another.

A new runtime multiplies at another speed, but above all it calls and moves at another speed. So the time on
the known device is one part, and beside it stand three kinds of calls and the elements moved.
"""

import numpy as np
from numpy.typing import NDArray

from workers.prediction.additive import fit_rates
from workers.prediction.features import CONVOLUTIONS, NAMES

Array = NDArray[np.float64]

THIN = ("grouped", "depthwise")
# Parts are held at the rates of the fit of two parts alone, in relative error.
SHRINKAGE, SHRINKAGE_OF_TWO = 0.4, 0.1


def _columns(amount: str, classes: tuple[str, ...] | None = None) -> list[int]:
    """Return the columns of an amount; copies between layouts are no layers and do not count."""
    pairs = [name.split(".") for name in NAMES]
    return [
        column
        for column, (name, found) in enumerate(pairs)
        if found == amount and name != "layout_change" and (classes is None or name in classes)
    ]


_DENSE_CALLS = _columns("calls", tuple(name for name in CONVOLUTIONS if name not in THIN))
_THIN_CALLS = _columns("calls", THIN)
_OTHER_CALLS = [column for column in _columns("calls") if column not in {*_DENSE_CALLS, *_THIN_CALLS}]
_MOVED = _columns("moved")


def known_parts(amounts: Array, known_ms: Array) -> Array:
    """Return the parts (networks, 5): known milliseconds, three kinds of calls, elements moved.

    Args:
        amounts: Of work, as `features` gives them.
        known_ms: On the known device.
    """
    sums = [amounts[:, columns].sum(axis=1) for columns in (_DENSE_CALLS, _THIN_CALLS, _OTHER_CALLS, _MOVED)]
    return np.column_stack([known_ms, *sums])


def fit_corrections(parts: Array, median_ms: Array) -> Array:
    """Return the rates of the parts, held at a common factor and a common time a call."""
    two = np.column_stack([parts[:, 0], parts[:, 1:4].sum(axis=1)])
    factor, call_ms = fit_rates(two, median_ms, shrinkage=SHRINKAGE_OF_TWO)
    usual = np.array([factor, call_ms, call_ms, call_ms, 0.0])
    return fit_rates(parts, median_ms, shrinkage=SHRINKAGE, usual=usual)
