"""From timed rounds to one latency with its interval; pure functions of numbers.

On a busy machine a network's time jumps between two levels: alone on the core, and slowed by what else uses
its caches and execution units (a factor of 1.35 to 1.65 on the machine where this was worked out). The jump
differs from network to network, the slow drift of the clock frequency does not. So rounds count only where
the reference network ran at its undisturbed level just before and just after; what drift remains is divided
out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

# A reference above its undisturbed time by more than this was disturbed. Drift is at most 8 %, the smallest
# disturbance 20 %.
DISTURBED = 1.1
# An interval narrower than this part of its median will do.
WANTED_WIDTH = 0.02
# With fewer undisturbed rounds all are used; the median error of three undisturbed ones is 0.8 %, that of all
# rounds where hardly one was undisturbed 5 to 8 %.
MIN_UNDISTURBED = 3
# The fewest values whose median has a 95 % interval.
MIN_FOR_INTERVAL = 6
# A disturbance slowed 24 networks by powers of 0.7 to 1.3 of what it did to the reference.
SENSITIVITY = 0.4


@dataclass(frozen=True, slots=True)
class Round:
    """A burst of runs between two probes of the reference network; all in seconds."""

    times_s: Times
    before_s: float
    after_s: float

    @property
    def shortest_s(self) -> float:
        return float(self.times_s.min())

    @property
    def reference_s(self) -> float:
        return (self.before_s + self.after_s) / 2

    def is_disturbed(self, undisturbed_s: float) -> bool:
        """Return whether either probe was far from the reference's undisturbed time."""
        return max(self.before_s, self.after_s) > DISTURBED * undisturbed_s


@dataclass(frozen=True, slots=True)
class Estimate:
    """A latency undisturbed, with the 95 % interval of its median; in seconds."""

    median_s: float
    low_s: float
    high_s: float
    # Of the reference in the same rounds, as it ran.
    reference_s: float
    # The interval is wider than wanted, or too few rounds were undisturbed.
    is_noisy: bool


def estimate(rounds: Sequence[Round], undisturbed_s: float) -> Estimate:
    """Return the latency that the rounds speak for.

    Where nearly all were disturbed, all are used and the interval is widened by how differently a disturbance
    may slow this network and the reference.

    Args:
        rounds: At least one.
        undisturbed_s: The reference network's time on this machine undisturbed.
    """
    kept = [each for each in rounds if not each.is_disturbed(undisturbed_s)]
    used = kept if len(kept) >= MIN_UNDISTURBED else rounds
    reference = np.array([each.reference_s for each in used])
    values = drift_divided(np.array([each.shortest_s for each in used]), reference, undisturbed_s)
    median, (low, high) = float(np.median(values)), median_interval(values)
    slowdown = max(1.0, float(np.median(reference)) / undisturbed_s)
    slack = 1.0 if used is kept else slowdown**SENSITIVITY
    low, high = low / slack, high * slack
    is_noisy = len(kept) < MIN_FOR_INTERVAL or (high - low) > WANTED_WIDTH * median
    return Estimate(median, low, high, float(np.median(reference)), is_noisy)


def drift_divided(shortest: Times, reference: Times, undisturbed_s: float) -> Times:
    """Return each round's time as it would be with the reference at its undisturbed time.

    Example:
        >>> drift_divided(np.array([2.0, 2.2]), np.array([1.0, 1.1]), 1.0).tolist()
        [2.0, 2.0]
    """
    return shortest * (undisturbed_s / reference)


def median_interval(values: Times) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, by order statistics: no distribution is assumed.

    With fewer than six values none reaches 95 %; smallest and largest are returned then.

    Example:
        >>> median_interval(np.arange(15.0))
        (3.0, 11.0)
    """
    ordered, count = np.sort(values), len(values)
    # The k-th value lies above the median as often as `count` tosses show fewer than k heads. Whole numbers:
    # the powers of two soon exceed a float.
    ways = at_most = 1
    heads = 0
    while 40 * at_most <= 2**count:
        ways = ways * (count - heads) // (heads + 1)
        heads += 1
        at_most += ways
    cut = max(heads - 1, 0)
    return float(ordered[cut]), float(ordered[-1 - cut])
