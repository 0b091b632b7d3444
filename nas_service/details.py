"""What analyses read of a study's trials beyond their figures: parameters, epochs, accuracy at the rungs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.param_table import ParamTable


@dataclass(frozen=True, slots=True)
class Detail:
    """One trial's."""

    number: int
    params: Mapping[str, Any]
    distributions: Mapping[str, str]
    # The last epoch of its learning curve.
    epochs: int
    # Accuracy by rung, where it reached one.
    at_rungs: Mapping[int, float]


class Details:
    """Arrays of them; row n is trial number n. Trials that are neither complete nor pruned have none.

    Args:
        rungs: The study's rungs.
    """

    def __init__(self, rungs: tuple[int, ...]) -> None:
        self.revision = 0
        self.rungs = rungs
        self.params = ParamTable()
        self.epochs: NDArray[np.int32] = np.empty(0, np.int32)
        # A column a rung; NaN where a trial did not reach it.
        self.accuracy_at: NDArray[np.float64] = np.empty((0, len(rungs)))

    def take(self, revision: int, rows: Iterable[Detail], size: int) -> None:
        """Take in what changed up to a revision; `size` is how many trials there are."""
        known = list(rows)
        self.params.take(((row.number, row.params, row.distributions) for row in known), size)
        missing = size - len(self.epochs)
        if missing > 0:
            self.epochs = np.append(self.epochs, np.zeros(missing, np.int32))
            nothing = np.full((missing, len(self.rungs)), np.nan)
            self.accuracy_at = np.concatenate([self.accuracy_at, nothing])
        for row in known:
            self.epochs[row.number] = row.epochs
            self.accuracy_at[row.number] = [row.at_rungs.get(rung, np.nan) for rung in self.rungs]
        self.revision = revision
