"""When a candidate is stopped before its last epoch: Pareto-aware asynchronous successive halving.

At each rung a candidate goes on only if it is among the best 1/eta of all that reached the rung, ranked by
non-dominated sorting of (quality at this rung, known costs) with ties broken by crowding distance: MO-ASHA
with its stopping rule (Schmucker et al. 2021, arXiv:2106.12639). Nobody waits for anybody. A rung at which
most do hardly better than guessing tells next to nothing of who will be good, and stops nobody. The most
accurate so far always goes on: among few, cheap ones that nobody dominates would come before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

import numpy as np

from nas_service.front import crowding_distances, non_dominated_ranks

# A rung tells something once half of those who reached it have come so far from guessing to all correct.
TELLING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class RungEntry:
    """A candidate at a rung."""

    trial_id: int
    # All to be minimised, in the same order for all entries.
    values: tuple[float, ...]
    # On validation examples, at the rung.
    accuracy: float
    # Whether it may be on the front; others' entries always do.
    counts: bool = True


def decide(candidate: RungEntry, others: list[RungEntry], reduction_factor: int, classes: int) -> bool:
    """Say whether a candidate goes on past a rung.

    Args:
        candidate: Who asks.
        others: Everybody else who reached the rung so far; the order does not matter.
        reduction_factor: eta; the best ceil(n / eta) of all n go on, so the first one always does.
        classes: How many there are to guess from.
    """
    if candidate.counts and all(candidate.accuracy > entry.accuracy for entry in others):
        return True
    return place(candidate, others) < best([candidate, *others], reduction_factor, classes)


def best(entries: Sequence[RungEntry], reduction_factor: int, classes: int) -> int:
    """Return how many of those that reached a rung go on past it: all where it tells too little of them."""
    guessing = 1.0 / classes
    telling = guessing + TELLING_SHARE * (1.0 - guessing)
    if median(entry.accuracy for entry in entries) <= telling:
        return len(entries)
    return ceil(len(entries) / reduction_factor)


def place(candidate: RungEntry, others: list[RungEntry]) -> int:
    """Return how many of the others stand before a candidate at a rung.

    By rank, then by crowding (lonely first), then by trial: equal inputs decide equally.
    """
    entries = sorted([candidate, *others], key=lambda entry: entry.trial_id)
    values = np.array([entry.values for entry in entries], dtype=np.float64)
    own = next(row for row, entry in enumerate(entries) if entry.trial_id == candidate.trial_id)
    ranks = non_dominated_ranks(values)
    equals = np.flatnonzero(ranks == ranks[own])
    order = np.lexsort((equals, -crowding_distances(values[equals])))
    return int((ranks < ranks[own]).sum()) + int(np.flatnonzero(equals[order] == own)[0])
