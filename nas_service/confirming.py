"""Confirming a front: which of its members are trained again, and what their figures on the test part say.

The best of many candidates by validation looks better than it is, for chance chose along. Training it again,
from scratch and with several seeds, and measuring it on examples that no choice has seen, says how good it is
and how much that depends on the seed.
"""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from statistics import fmean, stdev

import numpy as np

from nas_service.front import Values, hypervolume
from nas_service.metrics import METRICS, QUALITIES, Goal
from nas_service.studies import Objective, StudySpec
from nas_service.views import Confirmed

# Of a front that is taken whole so many are put in order: the study is locked meanwhile.
ORDERED = 50


def chosen(
    values: Values, reference: Sequence[float], directions: Sequence[Goal], top: int | None
) -> list[int]:
    """Return the rows of a front that together cover most of it, the one that covers most first.

    Each further row is the one that adds the most hypervolume to those before it: of the fronts of that size
    it covers at least 63 % of what the best one does (Nemhauser et al. 1978). Ties go to the earlier row.
    What a row adds never grows as others are taken, so that most need not be looked at again (Minoux 1978).

    Args:
        values: (n, objectives) of the front.
        reference: The point that hypervolume is measured from.
        directions: "max" or "min" an objective.
        top: At most so many; all where it is None, those behind the first `ORDERED` as they come.
    """
    taken, covered = list[int](), 0.0
    # By the most that each can add: the negative, its row, and how many were taken when it was found.
    promised = [(-np.inf, row, -1) for row in range(len(values))]
    while promised and len(taken) < (ORDERED if top is None else top):
        least, row, found_at = heappop(promised)
        if found_at == len(taken):
            taken.append(row)
            covered -= least
        else:
            volume = hypervolume(values[[*taken, row]], reference, directions)
            heappush(promised, (covered - volume, row, len(taken)))
    return taken if top is not None else [*taken, *sorted(row for _, row, _ in promised)]


def quality_of(spec: StudySpec) -> Objective:
    """Return the first quality among a study's objectives, accuracy where none is: what confirming judges."""
    asked = [objective for objective in spec.objectives if objective.metric in QUALITIES]
    return asked[0] if asked else Objective(metric="accuracy")


def summarised(
    runs: Sequence[Mapping[str, float]], searched: Mapping[str, float], quality: str
) -> Confirmed | None:
    """Return what runs of one network with several seeds say together; None without runs.

    Args:
        runs: Qualities on the test part, a mapping a run.
        searched: What the search knows of the network, by validation.
        quality: The metric whose optimism is told.

    Example:
        >>> told = summarised([{"accuracy": 0.90}, {"accuracy": 0.92}], {"accuracy": 0.95}, "accuracy")
        >>> round(told.mean["accuracy"], 3), round(told.deviation["accuracy"], 4), round(told.optimism, 3)
        (0.91, 0.0141, 0.04)
    """
    if not runs:
        return None
    names = [name for name in METRICS if name in QUALITIES and all(name in run for run in runs)]
    mean = {name: fmean(run[name] for run in runs) for name in names}
    # The sample deviation: of one run nothing is known of the spread.
    deviation = {name: stdev(run[name] for run in runs) for name in names} if len(runs) > 1 else {}
    optimism = None
    if quality in mean and searched.get(quality) is not None:
        sign = 1.0 if METRICS[quality].goal == "max" else -1.0
        optimism = sign * (searched[quality] - mean[quality])
    return Confirmed(runs=len(runs), mean=mean, deviation=deviation, optimism=optimism)
