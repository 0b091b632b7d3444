"""The front of a growing study, carried on from trial to trial instead of found anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import NAMES, Columns
from nas_service.front import Growth, Values, non_dominated
from nas_service.metrics import METRICS, Goal
from nas_service.studies import Objective, StudySpec

Numbers = NDArray[np.int64]
# The reference point lies this much beyond the worst value where nothing else fixes it.
MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class Standing:
    """The front over some objectives, and how its hypervolume grew."""

    # Trial numbers of the front, rising.
    members: tuple[int, ...]
    reference_point: tuple[float, ...]
    # (trials, hypervolume) where the hypervolume changed, and at the newest trial.
    steps: tuple[tuple[int, float], ...]


class Progress:
    """The standing of a study over some objectives, brought up to date by what has finished since.

    Only complete trials of the newest space that keep every limit count, in the order in which they finished.
    What counted before is gone through again only where an earlier trial counts no longer, counts again or
    finished before another that was known, or where the worst value seen moves the reference point.
    """

    # What counted at the last look, in the order in which it finished.
    _worthy: Numbers
    _values: Values
    # Who of them is on the front.
    _members: Numbers
    _member_values: Values
    _reference: Values
    _growth: Growth

    def __init__(self, objectives: Sequence[Objective], spec: StudySpec) -> None:
        self._objectives = objectives
        self._names = [objective.metric for objective in objectives]
        self._directions: list[Goal] = [objective.direction for objective in objectives]
        self._spec = spec
        self._columns = np.array([NAMES.index(name) for name in self._names])
        # Equal to no reference point, so that the first look starts anew.
        self._restart(np.full(len(objectives), np.nan))

    def follow(self, columns: Columns) -> Standing:
        """Return how the study stands at the revision of `columns`."""
        worthy = _in_order(columns)
        values = columns.metrics[np.ix_(worthy, self._columns)]
        reference = reference_point(self._objectives, self._spec, values)
        known = len(self._worthy)
        is_continued = (
            np.array_equal(reference, self._reference)
            and np.array_equal(worthy[:known], self._worthy)
            and np.array_equal(values[:known], self._values, equal_nan=True)
        )
        if not is_continued:
            self._restart(reference)
            known = 0
        self._go_on(worthy[known:], values[known:])
        self._worthy = worthy
        self._values = values
        newest = ((len(worthy), self._growth.volume),) if len(worthy) else ()
        return Standing(
            members=tuple(sorted(self._members.tolist())),
            reference_point=tuple(float(bound) for bound in reference),
            steps=tuple(dict([*self._growth.steps, *newest]).items()),
        )

    def _restart(self, reference: Values) -> None:
        self._reference = reference
        self._worthy = self._members = np.empty(0, np.int64)
        self._values = self._member_values = np.empty((0, len(self._names)))
        self._growth = Growth(reference, self._directions)

    def _go_on(self, worthy: Numbers, values: Values) -> None:
        # Whoever is beaten stays beaten, so only the front so far can hold its place beside what is new.
        candidates = np.concatenate([self._members, worthy])
        candidate_values = np.concatenate([self._member_values, values])
        mask = non_dominated(candidate_values, self._directions)
        self._members, self._member_values = candidates[mask], candidate_values[mask]
        self._growth.add(values)


def reference_point(objectives: Sequence[Objective], spec: StudySpec, values: Values) -> Values:
    """Return the limits where set, the metrics' worst values where they have one, else the worst seen.

    Args:
        objectives: What the hypervolume is over.
        spec: The study, which may limit them.
        values: (n, objectives) of all candidates that count.
    """
    return np.array(
        [_bound(objective, spec, values[:, column]) for column, objective in enumerate(objectives)]
    )


def _bound(objective: Objective, spec: StudySpec, values: Values) -> float:
    name, direction = objective.metric, objective.direction
    limit = spec.constraints.get(name)
    bound = (limit.min if direction == "max" else limit.max) if limit else None
    if bound is not None:
        return float(bound)
    if direction == METRICS[name].goal and np.isfinite(METRICS[name].worst):
        return METRICS[name].worst
    seen = values[np.isfinite(values)]
    if not len(seen):
        return 1.0
    return float(seen.min() / MARGIN) if direction == "max" else float(seen.max() * MARGIN)


def objectives_of(spec: StudySpec, metrics: tuple[str, ...]) -> list[Objective]:
    """Return the study's objectives, or those of some metrics, in natural directions unless asked for."""
    if not metrics:
        return list(spec.objectives)
    asked = {objective.metric: objective for objective in spec.objectives}
    return [asked.get(name, Objective(metric=name)) for name in dict.fromkeys(metrics)]


def _in_order(columns: Columns) -> Numbers:
    """Return the numbers of the trials that count, in the order in which they finished."""
    worthy = np.flatnonzero(columns.are("complete") & columns.feasible & ~columns.excluded)
    # Numbers rise already, and a stable sort leaves ties as they are.
    return np.asarray(worthy[np.argsort(columns.finished[worthy], kind="stable")], np.int64)
