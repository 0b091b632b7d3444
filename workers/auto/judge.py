"""What candidates promise: expected hypervolume improvement, by exact costs and beliefs of the rest."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nas_service.constraints import enforced, violation
from nas_service.front import non_dominated
from nas_service.metrics import METRICS
from workers.auto.axes import Axis
from workers.auto.beliefs import Belief, Sighting
from workers.auto.candidates import Candidate
from workers.auto.features import FeatureMap
from workers.auto.improvement import Outlook, expected_improvement, uncovered
from workers.auto.observations import Observed
from workers.auto.pool import Entry
from workers.auto.scales import from_scale
from workers.auto.task import Task

Matrix = NDArray[np.float64]
# Before so many figures have come in, candidates are spread over all sizes.
FIRST_TRIALS = 8
# Points of the box, and how many open ones of them are looked at.
POINTS = 4096
OPEN_POINTS = 256
# Beliefs are revised when this part of all trials is new: one in a hundred.
NEWS = 100
# More figures than this are too slow to fit to.
MOST_FIGURES = 360
# What decides where no candidate promises any volume.
OPTIMISM = 1e-6
# By this part of a soft limit beyond it a promise counts half.
HALVED_BY = 0.1


class Judge:
    """Learns from trials, and says of candidates what they promise.

    Args:
        task: What is searched, and for what.
        features: Of the space.
        samples: Candidates drawn at random: what sizes and times there are.
        generator: Of the points at which volume is sampled, and of the scales that are tried.
    """

    def __init__(
        self,
        task: Task,
        features: FeatureMap,
        samples: Sequence[Candidate],
        generator: np.random.Generator,
    ) -> None:
        self._features, self._generator = features, generator
        feasible = [sample for sample in samples if sample.excess == 0.0] or samples
        self._samples = {s.architecture.hash: features(s.architecture, s.cost) for s in feasible}
        self._sample_costs = [s.costs for s in {s.architecture.hash: s for s in feasible}.values()]
        hard = enforced(task.constraints)
        self._axes = [Axis(o, hard.get(o.metric)) for o in task.objectives]
        # An axis ends at its limit, so that only the others' are to be counted apart.
        axes = {objective.metric for objective in task.objectives}
        apart = [name for name in task.uncertain if name in hard and name not in axes]
        self._limits = {name: hard[name] for name in apart}
        self._soft = task.soft
        self._beliefs = {name: Belief(name, task.epochs, generator) for name in task.uncertain}
        self._rows: dict[str, Matrix] = {}
        # By hash the trial and where it lies on the axes, of those that may stand on a front.
        self._places: dict[str, tuple[Observed, list[float]]] = {}
        self._trials: Sequence[Observed] = ()
        # Within all limits, and with what lies beyond soft ones.
        self._front: list[Observed] = []
        self._wider_front: list[Observed] = []
        # From how many finished trials beliefs are.
        self._learnt = 0

    def learn(self, trials: Sequence[Observed]) -> None:
        """Take in what all trials have shown so far."""
        self._trials = trials
        complete = [trial for trial in trials if trial.is_complete]
        self._front = self._non_dominated([trial for trial in complete if not trial.is_beyond])
        self._wider_front = self._non_dominated(complete) if self._soft else self._front
        finished = sum(not trial.is_running for trial in trials)
        if finished - self._learnt >= max(1, finished // NEWS):
            self._learnt = finished
            self._believe(trials)

    def _believe(self, trials: Sequence[Observed]) -> None:
        for name, belief in self._beliefs.items():
            seen = [
                (trial, *figure)
                for trial in self._remembered(trials, name)
                for figure in trial.seen.get(name, ())
            ]
            belief.learn([Sighting(self._row(trial), epoch, value) for trial, epoch, value in seen])

    def front(self) -> list[Observed]:
        """Return the trials within all limits that no other one beats."""
        return self._front

    def _non_dominated(self, complete: Sequence[Observed]) -> list[Observed]:
        if not complete:
            return []
        positions = np.array([self._positions(trial) for trial in complete])
        members = non_dominated(positions, ["min"] * len(self._axes))
        return [trial for trial, is_member in zip(complete, members, strict=True) if is_member]

    def _remembered(self, trials: Sequence[Observed], name: str) -> Sequence[Observed]:
        """Return trials that show a metric, not more than a fit can bear.

        Half are the newest ones, half the front, evenly along its first axis where it is longer; where that
        leaves places, the others are those whose hashes come first, a fair sample that stays the same.
        """
        showing = [trial for trial in trials if name in trial.seen]
        most = MOST_FIGURES // max(1, max((len(trial.seen[name]) for trial in showing), default=1))
        if len(showing) <= most:
            return showing
        half = -(-most // 2)
        chosen = {trial.hash: trial for trial in [*showing[-half:], *self._spread_front(most - half)]}
        for trial in sorted(showing, key=_hash):
            if len(chosen) >= most:
                break
            chosen.setdefault(trial.hash, trial)
        return list(chosen.values())

    def _spread_front(self, count: int) -> list[Observed]:
        """Return so many members of the front, evenly along its first axis; all if there are no more."""
        members = sorted(self._front, key=self._positions)
        places = np.linspace(0, len(members) - 1, min(count, len(members)))
        return [members[place] for place in places.round().astype(int)]

    def promise(self, entries: Sequence[Entry]) -> Matrix:
        """Return what each of some candidates promises, (n,); the largest is to be proposed."""
        rows = {entry.hash: entry.features for entry in entries}
        beyond = self._beyond(entries, rows)
        names = {axis.metric for axis in self._axes if not axis.is_exact}
        showing = (trial for trial in self._trials if not names.isdisjoint(trial.seen))
        is_known = len(list(islice(showing, FIRST_TRIALS))) == FIRST_TRIALS
        if not is_known or not all(self._beliefs[name].is_there for name in names):
            return self._evenness(entries, beyond)
        outlook = self._outlook(rows, [entry.candidate.costs for entry in entries])
        promise = expected_improvement(outlook, self._open_points(outlook, self._front))
        if beyond.any():
            # Judged by all that was found there: else it would promise the same gain again and again.
            wider = expected_improvement(outlook, self._open_points(outlook, self._wider_front))
            promise = np.where(beyond > 0.0, wider * 0.5 ** (beyond / HALVED_BY), promise)
        promise += OPTIMISM * (outlook.deviation - outlook.mean).sum(axis=1)
        for name, limit in self._limits.items():
            if self._beliefs[name].is_there:
                promise *= self._beliefs[name].chance(rows, limit)
        return promise

    def _beyond(self, entries: Sequence[Entry], rows: Mapping[str, Matrix]) -> Matrix:
        """Return by which parts of soft limits each is expected to break them, (n,), 0 where it keeps all."""
        beyond = np.zeros(len(entries))
        for name, limit in self._soft.items():
            if METRICS[name].kind == "cost":
                figures = np.array([entry.candidate.costs[name] for entry in entries])
            elif self._beliefs[name].is_there:
                figures = from_scale(name, self._beliefs[name].of(rows)[0])
            else:
                continue
            beyond += [max(0.0, violation(figure, limit)) for figure in figures.tolist()]
        return beyond

    def _evenness(self, entries: Sequence[Entry], beyond: Matrix) -> Matrix:
        """Return how well candidates would fill the largest gap between the sizes of all trials.

        The next size is a place in the pool's order by parameters, after van der Corput, of those within soft
        limits if there are any.
        """
        within: list[int] = np.flatnonzero(beyond == beyond.min()).tolist()
        within.sort(key=lambda place: entries[place].candidate.cost.params)
        promise = np.zeros(len(entries))
        promise[within[int(_van_der_corput(len(self._trials) + 1) * len(within))]] = 1.0
        return promise

    def _outlook(self, rows: Mapping[str, Matrix], costs: Sequence[Mapping[str, float]]) -> Outlook:
        means, deviations = [], []
        for axis in self._axes:
            if axis.is_exact:
                means.append(axis.position(np.array([cost[axis.metric] for cost in costs])))
                deviations.append(np.zeros(len(rows)))
            else:
                mean, deviation = self._beliefs[axis.metric].of(rows)
                means.append(axis.sign * mean)
                deviations.append(deviation)
        return Outlook(np.stack(means, axis=1), np.stack(deviations, axis=1))

    def _open_points(self, outlook: Outlook, members: Sequence[Observed]) -> Matrix:
        """Return points of the box that neither a front nor what still trains is expected to cover."""
        front = [self._positions(trial) for trial in members]
        running = [trial for trial in self._trials if trial.is_running]
        if running:
            rows = {_hash(trial): self._row(trial) for trial in running}
            names = [axis.metric for axis in self._axes if axis.is_exact]
            costs = [{name: trial.exact(name) for name in names} for trial in running]
            front.extend(self._outlook(rows, costs).mean)
        covered = np.array(front).reshape(-1, len(self._axes))
        everything = np.concatenate([outlook.mean - outlook.deviation, covered])
        shares = self._generator.random((POINTS, len(self._axes)))
        # Of what is being looked at, the search itself decides what sizes there are: towards small ones, the
        # box would shrink with them, and what is larger would promise nothing for ever.
        everywhere = self._outlook(self._samples, self._sample_costs).mean
        columns = []
        for column, axis in enumerate(self._axes):
            seen = everything if METRICS[axis.metric].kind == "quality" else everywhere
            reference = axis.reference(seen[:, column])
            columns.append(axis.spread(float(everything[:, column].min()), reference, shares[:, column]))
        return uncovered(np.stack(columns, axis=1), covered)[:OPEN_POINTS]

    def _positions(self, trial: Observed) -> list[float]:
        known = self._places.get(trial.hash)
        if known is None or known[0] is not trial:
            known = self._places[trial.hash] = (trial, self._placed(trial))
        return known[1]

    def _placed(self, trial: Observed) -> list[float]:
        figures = {name: seen[0][1] for name, seen in trial.seen.items()}
        values = [trial.exact(a.metric) if a.is_exact else figures[a.metric] for a in self._axes]
        return [
            float(axis.position(np.array([value]))[0]) for axis, value in zip(self._axes, values, strict=True)
        ]

    def _row(self, trial: Observed) -> Matrix:
        known = self._rows.get(trial.hash)
        if known is None:
            known = self._features(trial.architecture, trial.cost)
            self._rows[trial.hash] = known
        return known


def _hash(trial: Observed) -> str:
    return trial.hash


def _van_der_corput(number: int) -> float:
    """Return the number's binary digits mirrored at the point: 1/2, 1/4, 3/4, 1/8, ..."""
    place, mirrored = 0.5, 0.0
    while number:
        mirrored += place * (number & 1)
        number >>= 1
        place /= 2.0
    return mirrored
