"""The objectives as axes of the box in which hypervolume is looked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_service.metrics import METRICS
from nas_service.studies import Constraint, Objective
from workers.auto.scales import from_scale, to_scale

Matrix = NDArray[np.float64]
# Of all sizes and times that there are, what lies beyond this quantile interests nobody who sets no limit.
LARGEST = 0.95


@dataclass(frozen=True, slots=True)
class Axis:
    """One objective, to be minimised on its model's scale.

    Volume is even in shares, as people read them, and in the logarithm of sizes and times.
    """

    objective: Objective
    limit: Constraint | None

    @property
    def metric(self) -> str:
        return self.objective.metric

    @property
    def is_exact(self) -> bool:
        """Whether a description tells it."""
        return METRICS[self.metric].kind == "cost"

    @property
    def sign(self) -> float:
        return -1.0 if self.objective.direction == "max" else 1.0

    def position(self, values: Matrix) -> Matrix:
        """Return where figures lie on the axis."""
        return self.sign * to_scale(self.metric, values)

    def reference(self, positions: Matrix) -> float:
        """Return from where on a position adds nothing.

        That is the limit, if there is one. Else for a share it is half-way from the worst there is to the
        best position: what is nearer to a guess than to the best is of no use; for others, where few
        positions of the space lie beyond.

        Args:
            positions: Of what is known and looked at for a share, of a sample of the space for others.
        """
        bound = self._bound()
        if bound is not None:
            return float(self.position(np.array([bound]))[0])
        if METRICS[self.metric].kind == "quality":
            best = from_scale(self.metric, np.array([self.sign * positions.min()]))[0]
            halfway = (METRICS[self.metric].worst + best) / 2.0
            return float(self.position(np.array([halfway]))[0])
        return float(np.quantile(positions, LARGEST))

    def spread(self, best: float, reference: float, shares: Matrix) -> Matrix:
        """Return positions between two, spread as the shares from 0 to 1 are, evenly in volume."""
        if METRICS[self.metric].kind != "quality":
            return best + (reference - best) * shares
        ends = from_scale(self.metric, self.sign * np.array([best, reference]))
        return self.position(ends[0] + (ends[1] - ends[0]) * shares)

    def _bound(self) -> float | None:
        if self.limit is None:
            return None
        return self.limit.max if self.sign > 0 else self.limit.min
