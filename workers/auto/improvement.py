"""What a candidate is expected to add to the hypervolume of a front.

The volume is that part of a box, between the best that seems possible and a reference, which the front
leaves open, sampled by a number of points. A candidate adds the points that it dominates: with certainty
where an objective is an exact cost, with a probability where it is only believed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
# A deviation below this is a certainty.
CERTAIN = 1e-12


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is believed of candidates: (n, m) means and standard deviations of objectives to be minimised."""

    mean: Matrix
    deviation: Matrix


def uncovered(points: Matrix, front: Matrix) -> Matrix:
    """Return the points (p, m) that no row of a front (f, m) dominates."""
    covered = np.zeros(len(points), dtype=np.bool_)
    # Column by column: comparing whole rows takes ten times as long.
    columns = np.ascontiguousarray(points.T)
    for row in front:
        covered |= np.logical_and.reduce(
            [bound <= column for bound, column in zip(row, columns, strict=True)]
        )
    return points[~covered]


def expected_improvement(outlook: Outlook, points: Matrix) -> Matrix:
    """Return for each candidate the expected number of points that it dominates, (n,)."""
    expected = np.ones((len(outlook.mean), len(points)))
    for column in range(points.shape[1]):
        mean, deviation = outlook.mean[:, column, None], outlook.deviation[:, column, None]
        bound = points[None, :, column]
        if (deviation < CERTAIN).all():
            expected *= mean <= bound
        else:
            expected *= at_most(bound, mean, deviation)
    return np.asarray(expected.sum(axis=1), dtype=np.float64)


def at_most(bound: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    """Return the probability that a normal variable stays within a bound, to 0.0002.

    Bowling et al. 2009, doi:10.3926/jiem.2009.v2n1.p114-127, equation 10.
    """
    scaled = np.clip((bound - mean) / np.maximum(deviation, CERTAIN), -9.0, 9.0)
    return np.asarray(1.0 / (1.0 + np.exp(-1.5976 * scaled - 0.07056 * scaled**3)), dtype=np.float64)
