"""Which points of a front differ by more than noise, and which are tied with another.

A front of many trials holds neighbours that another seed would swap. Each figure has a standard error: of a
quality the binomial one of the validation part, or the deviation over the seeds of a confirmation where that
is larger; of a latency that of its measured interval; exact costs have none, but count as equal within 1 %.
Networks are judged on the same validation examples, so the noise of a difference is overstated rather than
understated.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from nas_service.front import Values, minimised
from nas_service.metrics import METRICS, Goal
from nas_service.views import FrontMember

# Standard errors that a 95 % interval reaches to either side.
Z = 1.96
# Costs this near to each other, as a share, count as equal.
ALIKE = 0.01


def standard_error(member: FrontMember, metric: str, examples: int) -> float:
    """Return the standard error of one figure of a network, 0 for an exact cost.

    Args:
        member: The network.
        metric: The figure; where the network lacks it the answer is 0.
        examples: Size of the validation part.
    """
    value, kind = member.values.get(metric), METRICS[metric].kind
    if value is None or kind == "cost":
        return 0.0
    if kind == "latency":
        low, high = member.latency_interval_ms or (value, value)
        return (high - low) / (2 * Z)
    seeds = member.confirmed.deviation.get(metric, 0.0) if member.confirmed else 0.0
    return max(binomial_error(value, examples), seeds)


def binomial_error(share: float, examples: int) -> float:
    """Return the standard error sqrt(p (1 - p) / n) of a share.

    One success and one failure are added, so that 100 % of a few examples is not taken for certain.

    Example:
        >>> round(binomial_error(0.9, 300), 4), binomial_error(1.0, 300) > 0
        (0.0175, True)
    """
    count = max(examples, 1)
    near = (min(max(share, 0.0), 1.0) * count + 1) / (count + 2)
    return sqrt(near * (1 - near) / count)


def noise_between(one: FrontMember, other: FrontMember, metric: str, examples: int) -> float:
    """Return by how much two figures must differ to differ significantly (95 %)."""
    errors = (standard_error(member, metric, examples) for member in (one, other))
    noise = Z * sqrt(sum(error**2 for error in errors))
    if METRICS[metric].kind == "quality":
        return noise
    return max(noise, ALIKE * max(abs(member.values.get(metric, 0.0)) for member in (one, other)))


def tied(members: Sequence[FrontMember], metrics: Sequence[str], examples: int) -> dict[int, int]:
    """Return who on a front is tied with another: its number, and that of the one that stands for it.

    Those that are left out of the answer are the significant front: each is significantly better than every
    other of them in something. Of tied ones the better in the first metric stands for all.

    Args:
        members: A front, each with all of `metrics`.
        metrics: What the front is over, the price first.
        examples: Size of the validation part.
    """
    if not members:
        return {}
    values = np.array([[member.values[name] for name in metrics] for member in members])
    errors = np.array([[standard_error(member, name, examples) for name in metrics] for member in members])
    is_price = np.array([METRICS[name].kind != "quality" for name in metrics])
    stands_for = representatives(values, errors, [METRICS[name].goal for name in metrics], is_price)
    return {
        members[row].number: members[other].number for row, other in enumerate(stands_for) if row != other
    }


def representatives(
    values: Values, errors: Values, directions: Sequence[Goal], is_price: NDArray[np.bool_]
) -> list[int]:
    """Return for each row the row that stands for it: itself where it is significant.

    Args:
        values: (n, m), a column an objective.
        errors: (n, m), standard errors.
        directions: "max" or "min" a column.
        is_price: (m,), the columns whose values count as equal within 1 %.
    """
    rows = minimised(values, directions)

    def is_better(row: int, others: list[int]) -> NDArray[np.bool_]:
        """Mark the columns in which a row is significantly better than each of others, (k, m)."""
        return np.asarray(rows[others] - rows[row] > _margins(values, errors, is_price, row, others))

    def is_worse(row: int, others: list[int]) -> NDArray[np.bool_]:
        return np.asarray(rows[row] - rows[others] > _margins(values, errors, is_price, row, others))

    kept: list[int] = []
    for row in np.lexsort(rows.T[::-1]).tolist():
        if is_better(row, kept).any(axis=1).all():
            # Whom it beats significantly and who is nowhere significantly better than it.
            stays = np.asarray(is_worse(row, kept).any(axis=1))
            kept = [*np.array(kept, np.int64)[stays].tolist(), row]
    return [row if row in kept else _nearest(rows, errors, row, kept) for row in range(len(rows))]


def _margins(
    values: Values, errors: Values, is_price: NDArray[np.bool_], row: int, others: list[int]
) -> Values:
    noise = Z * np.sqrt(errors[row] ** 2 + errors[others] ** 2)
    alike = ALIKE * np.maximum(np.abs(values[row]), np.abs(values[others]))
    return np.asarray(np.where(is_price, np.maximum(noise, alike), noise))


def _nearest(rows: Values, errors: Values, row: int, kept: list[int]) -> int:
    """Return who of the kept a row exceeds least, in standard errors and shares of the span."""
    span = np.ptp(rows, axis=0)
    scale = errors[row] + np.where(span > 0, span, 1.0) * ALIKE
    excess = (np.maximum(rows[kept] - rows[row], 0.0) / scale).sum(axis=1)
    return kept[int(np.argmin(excess))]
