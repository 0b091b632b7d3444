"""Pareto dominance, fronts and hypervolume, on plain arrays.

Values are rows of objectives; `directions` says "max" or "min" a column. Rows with a missing value (NaN)
are never on a front.
"""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from nas_service.metrics import Goal

Values = NDArray[np.float64]
# Bounds the memory of comparing rows with a front.
ROWS_AT_ONCE = 512


def minimised(values: Values, directions: Sequence[Goal]) -> Values:
    """Turn every objective into one to be minimised, by sign."""
    signs = np.array([-1.0 if direction == "max" else 1.0 for direction in directions])
    return np.asarray(values * signs, dtype=np.float64)


def non_dominated(values: Values, directions: Sequence[Goal]) -> NDArray[np.bool_]:
    """Mark the rows that no other row beats: at least as good in all objectives and better in one.

    Equal rows are all marked. Shape (n, m) to (n,).
    """
    mask: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)
    if mask.any():
        mask[mask] = moocore.is_nondominated(minimised(values[mask], directions), keep_weakly=True)
    return mask


def non_dominated_ranks(values: Values) -> NDArray[np.int64]:
    """Rank rows to be minimised: 0 for the front, 1 for the front of the rest, and so on.

    Rows with a figure that is not finite come last.
    """
    ranks = np.full(len(values), len(values), dtype=np.int64)
    is_finite = np.isfinite(values).all(axis=1)
    if is_finite.any():
        ranks[is_finite] = moocore.pareto_rank(values[is_finite])
    return ranks


def crowding_distances(values: Values) -> Values:
    """Return each row's crowding distance among rows of one rank (Deb et al. 2002, NSGA-II, section III-B).

    The ends of each objective are infinitely lonely.
    """
    count, objectives = values.shape
    distances = np.zeros(count)
    for column in range(objectives):
        order = np.argsort(values[:, column], kind="stable")
        ordered = values[order, column]
        distances[order[[0, -1]]] = np.inf
        # A figure that nobody measured yet is infinite, and infinity minus infinity no distance.
        if np.isfinite(ordered[[0, -1]]).all() and ordered[-1] > ordered[0]:
            distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
    return distances


def hypervolume(values: Values, reference: Sequence[float], directions: Sequence[Goal]) -> float:
    """Return the volume between the front of `values` and a reference point; rows beyond it count nothing."""
    rows = values[np.isfinite(values).all(axis=1)] if len(values) else values
    if not len(rows):
        return 0.0
    point = minimised(np.asarray(reference, dtype=np.float64), directions)
    return float(moocore.hypervolume(minimised(rows, directions), ref=point))


class Growth:
    """How the hypervolume of a front grows, row after row.

    Args:
        reference: The point that rows must beat in every objective.
        directions: "max" or "min" an objective.
    """

    def __init__(self, reference: Sequence[float] | Values, directions: Sequence[Goal]) -> None:
        self._directions = list(directions)
        self._point = minimised(np.asarray(reference, dtype=np.float64), directions)
        self._front = np.empty((0, len(self._directions)))
        self._count = 0
        self.volume = 0.0
        # (rows so far, volume) where the volume changed.
        self.steps: list[tuple[int, float]] = []

    def add(self, values: Values) -> None:
        """Take in further rows; rows with NaN count as rows and add nothing."""
        rows = minimised(values, self._directions)
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            self._add(rows[begin : begin + ROWS_AT_ONCE])

    def _add(self, rows: Values) -> None:
        useful = np.asarray(np.isfinite(rows).all(axis=1) & (rows < self._point).all(axis=1), np.bool_)
        # Most rows are beaten by the front as it stands: all of these are found at once.
        useful[useful] = ~_is_covered(rows[useful], self._front)
        for place in np.flatnonzero(useful):
            row = rows[place]
            if not (self._front <= row).all(axis=1).any():
                self._front = np.vstack([self._front[~(row <= self._front).all(axis=1)], row])
                self.volume = float(moocore.hypervolume(self._front, ref=self._point))
                self.steps.append((self._count + int(place) + 1, self.volume))
        self._count += len(rows)


def _is_covered(rows: Values, front: Values) -> NDArray[np.bool_]:
    """Mark the rows that one of the front is at least as good as in every objective."""
    beaten_by: NDArray[np.bool_] = np.all(front[None, :, :] <= rows[:, None, :], axis=2)
    return np.asarray(np.any(beaten_by, axis=1), np.bool_)


def knee(values: Values, directions: Sequence[Goal]) -> int | None:
    """Return the row of a front that lies furthest from the line between its ends, None below three rows.

    For two objectives; each is scaled to the span of the front first (Branke et al. 2004).
    """
    if len(values) < 3 or values.shape[1] != 2:
        return None
    points = minimised(values, directions)
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))
