"""Candidates by the hundred, for next to nothing: drawn, mutated and crossed by the space's own parameters.

What breaks a limit on an exact cost, or a rule of the space, is told apart here, in a loop without any
database: it is counted and never proposed.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas_service.constraints import enforced, violations
from nas_service.metrics import METRICS
from nas_service.studies import Constraint
from search_spaces import Architecture, Cost, RandomTrial, SearchSpace, analyse
from search_spaces.random_trial import Scalar

Params = Mapping[str, Scalar]
MOST_REDRAWN = 3
# Random draws in search of a feasible candidate, then steps downhill from the nearest of them.
DRAWS = 128
STEPS = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture that might be proposed."""

    params: dict[str, Scalar]
    architecture: Architecture
    cost: Cost
    # By which part of its bounds it breaks limits and rules, all together; 0.0 where it may be trained.
    excess: float

    @property
    def costs(self) -> dict[str, float]:
        """Exact costs by metric name."""
        return {name: float(value) for name, value in self.cost.metrics().items()}


class CandidateSource:
    """Draws candidates of one space.

    Args:
        draw: Turns a trial into an architecture: the space with the data's shape and classes.
        space: Whose rules forbid.
        constraints: Of all kinds; those on exact costs are heeded unless they are soft.
        seed: Of all draws.
    """

    def __init__(
        self,
        draw: Callable[[RandomTrial], Architecture],
        space: SearchSpace,
        constraints: Mapping[str, Constraint],
        seed: int,
    ) -> None:
        self._draw, self._space = draw, space
        self._limits = {
            name: limit for name, limit in enforced(constraints).items() if METRICS[name].kind == "cost"
        }
        self._random = random.Random(seed)
        self._nearest: Candidate | None = None
        # How many were turned down, by what they break: a metric's name or a rule.
        self.rejected: Counter[str] = Counter()

    def take_rejected(self) -> dict[str, int]:
        """Return how many were turned down since the last call, by what they break."""
        rejected, self.rejected = self.rejected, Counter()
        return dict(rejected)

    def drawn(self) -> Candidate:
        """Return one drawn at random."""
        return self.described({})

    def mutated(self, params: Params) -> Candidate:
        """Return one with one to three parameters drawn anew."""
        count = min(len(params), self._random.randint(1, MOST_REDRAWN))
        redrawn = self._random.sample(sorted(params), count)
        return self.described({name: value for name, value in params.items() if name not in redrawn})

    def crossed(self, one: Params, other: Params) -> Candidate:
        """Return one with each part (a stage, the head) taken from either of two."""
        parts = sorted({_part(name) for name in (*one, *other)})
        donor = {part: self._random.choice((one, other)) for part in parts}
        names = sorted({*one, *other})
        return self.described(
            {name: donor[_part(name)][name] for name in names if name in donor[_part(name)]}
        )

    def described(self, params: Params) -> Candidate:
        """Return the candidate of some parameters; those that are missing are drawn."""
        trial = RandomTrial(self._random.getrandbits(62), fixed=params)
        architecture = self._draw(trial)
        cost = analyse(architecture)
        return Candidate(dict(trial.params), architecture, cost, self._excess(architecture, cost))

    def nearest(self) -> Candidate:
        """Return a feasible candidate, or the one that comes closest to it of all that were looked at.

        Where random draws hold none, it is searched for downhill: step by step towards smaller breaches.
        Asked again, it goes on with one step.
        """
        if self._nearest is None:
            self._nearest = self._best_drawn()
            for _ in range(STEPS):
                self._nearest = self._stepped(self._nearest)
        self._nearest = self._stepped(self._nearest)
        return self._nearest

    def _best_drawn(self) -> Candidate:
        best = self.drawn()
        for _ in range(DRAWS):
            if best.excess > 0.0:
                best = min(best, self.drawn(), key=_excess)
        return best

    def _stepped(self, best: Candidate) -> Candidate:
        if best.excess == 0.0:
            return best
        # An equal one takes its place too: a level is crossed by walking on it.
        return min(self.mutated(best.params), best, key=_excess)

    def _excess(self, architecture: Architecture, cost: Cost) -> float:
        found = violations(cost.metrics(), self._limits)
        broken = {name: excess for name, excess in found.items() if excess > 0}
        rule = self._space.forbidden(architecture)
        if rule is not None:
            broken[rule] = 1.0
        self.rejected.update(broken.keys())
        return sum(broken.values())


def _part(name: str) -> str:
    return name.partition(".")[0]


def _excess(candidate: Candidate) -> float:
    return candidate.excess
