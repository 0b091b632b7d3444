"""Whether a space holds anything within a study's limits on size, and what comes nearest to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_service.constraints import violations
from nas_service.metrics import METRICS, bound_text
from nas_service.studies import Constraint
from search_spaces import Architecture, RandomTrial, SearchSpace, analyse
from search_spaces.random_trial import Scalar

# Random draws before the search for the nearest network begins, and from how many of them it begins.
SAMPLES = 300
STARTS = 3
# Each round tries every other value of every parameter.
MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Nearest:
    """The network that comes nearest to keeping all limits, as far as was looked."""

    architecture: Architecture
    metrics: Mapping[str, float]
    # By limit: relative violation, at most 0 where it is kept.
    violations: Mapping[str, float]
    # The rule of the space that forbids it; None where none does.
    rule: str | None

    @property
    def is_feasible(self) -> bool:
        return self.excess <= 0

    @property
    def excess(self) -> float:
        """By how much limits are broken, together; a forbidden network counts as one of twice a limit."""
        return sum(max(0.0, off) for off in self.violations.values()) + (self.rule is not None)

    @property
    def binding(self) -> str | None:
        """The limit that is broken most; None where a rule of the space is all that is in the way."""
        name = max(self.violations, key=lambda limit: self.violations[limit], default=None)
        return name if name is not None and self.violations[name] > 0 else None


class _Recording(RandomTrial):
    """A trial of known answers that remembers what it could have answered."""

    def __init__(self, seed: int, fixed: Mapping[str, Scalar]) -> None:
        super().__init__(seed, fixed=fixed)
        self.choices: dict[str, tuple[Scalar, ...]] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:  # type: ignore[override]
        self.choices[name] = tuple(choices)
        return super().suggest_categorical(name, choices)


class _Looking:
    def __init__(
        self,
        space: SearchSpace,
        constraints: Mapping[str, Constraint],
        input_shape: Sequence[int],
        classes: int,
    ) -> None:
        self._space, self._shape, self._classes = space, input_shape, classes
        self._limits = {name: limit for name, limit in constraints.items() if METRICS[name].kind == "cost"}

    def drawn(self, seed: int, fixed: Mapping[str, Scalar]) -> tuple[_Recording, Nearest]:
        trial = _Recording(seed, fixed)
        architecture = self._space.sample(trial, self._shape, self._classes)
        metrics = {name: float(value) for name, value in analyse(architecture).metrics().items()}
        rule = self._space.forbidden(architecture)
        return trial, Nearest(architecture, metrics, violations(metrics, self._limits), rule)

    def improved(self, seed: int, trial: _Recording, nearest: Nearest) -> Nearest:
        """Change one parameter after another as long as the limits are broken less by it."""
        for _ in range(MAX_ROUNDS):
            before = nearest
            for name, choices in list(trial.choices.items()):
                for choice in choices:
                    if choice == trial.params.get(name):
                        continue
                    other, found = self.drawn(seed, {**trial.params, name: choice})
                    if found.excess < nearest.excess:
                        trial, nearest = other, found
                    if nearest.is_feasible:
                        return nearest
            if nearest is before:
                break
        return nearest


def nearest(
    space: SearchSpace, constraints: Mapping[str, Constraint], input_shape: Sequence[int], classes: int
) -> Nearest:
    """Return the first network found that keeps all limits on size, or else the one that comes nearest.

    Random draws first; where none of them will do, a descent from the best of them, one parameter after
    another. Milliseconds where much is feasible, some seconds where nothing is. A descent may miss what a
    space holds: what it finds is an upper bound on how near the space comes.
    """
    looking = _Looking(space, constraints, input_shape, classes)
    drawn = []
    for seed in range(SAMPLES):
        trial, found = looking.drawn(seed, {})
        if found.is_feasible:
            return found
        drawn.append((seed, trial, found))
    drawn.sort(key=lambda each: each[2].excess)
    best = drawn[0][2]
    for start in drawn[:STARTS]:
        found = looking.improved(*start)
        if found.is_feasible:
            return found
        best = min(best, found, key=lambda each: each.excess)
    return best


def explained(found: Nearest, constraints: Mapping[str, Constraint]) -> tuple[str, str]:
    """Return the pointer of the limit that leaves a space empty, and why in words, with what would do."""
    name = found.binding
    if name is None:
        return "/space", f"nothing is allowed: the space forbids {found.rule}"
    limit, value = constraints[name], found.metrics[name]
    too_large = limit.max is not None and value > limit.max
    side, bound = ("at most", limit.max) if too_large else ("at least", limit.min)
    asked = f"{side} {bound_text(bound or 0.0)}"
    others = [other for other, off in found.violations.items() if other != name and off > 0]
    more = f", and {', '.join(others)} with it" if others else ""
    extreme = "smallest" if too_large else "largest"
    return f"/constraints/{name}/{'max' if too_large else 'min'}", (
        f"nothing in the space keeps it ({name} {asked}{more}): the {extreme} found has {value:,.0f}"
    )
