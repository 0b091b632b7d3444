"""A trial that draws at random: Optuna's `suggest_*` surface without Optuna."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

Scalar = bool | int | float | str | None
Drawn = TypeVar("Drawn", bound=Scalar)


class Suggests(Protocol):
    """What sampling needs of a trial; `optuna.Trial` fits as it is."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """Return one of `choices`; the same name always comes with the same choices."""


class RandomTrial:
    """A trial that answers from a seeded generator and remembers what it answered.

    Args:
        seed: Equal seeds and equal questions give equal answers.
        fixed: Answers known beforehand, by parameter name; the others are drawn.

    Example:
        >>> trial = RandomTrial(0)
        >>> trial.suggest_categorical("stage1.branch1.kernel", (3, 5, 7)) in (3, 5, 7)
        True
    """

    def __init__(self, seed: int | None = None, *, fixed: Mapping[str, Scalar] | None = None) -> None:
        self.params: dict[str, Scalar] = {}
        self._fixed = dict(fixed or {})
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Drawn]) -> Drawn:
        """Return one of `choices`, each as likely as the others."""
        if name in self._fixed or name in self.params:
            return self._answer(name, lambda: choices[0], lambda value: value in choices)
        value = choices[int(self._random.random() * len(choices))]
        self.params[name] = value
        return value

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return an integer from `low` to `high`, both included, in steps of `step`."""

        def draw() -> int:
            if not log:
                return self._random.randrange(low, high + 1, step)
            # Each integer owns the half-open interval around it, so that both ends are as likely.
            value = math.exp(self._random.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(high, max(low, round(value)))

        return self._answer(name, draw, lambda value: low <= value <= high)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number from `low` to `high`, evenly in the logarithm where `log`."""

        def draw() -> float:
            if step is not None:
                return min(high, low + step * self._random.randint(0, int((high - low) / step + 1e-9)))
            if not log:
                return self._random.uniform(low, high)
            return math.exp(self._random.uniform(math.log(low), math.log(high)))

        return self._answer(name, draw, lambda value: low <= value <= high)

    def _answer(self, name: str, draw: Callable[[], Drawn], fits: Callable[[Drawn], bool]) -> Drawn:
        known = self._fixed if name in self._fixed else self.params
        value: Drawn = known[name] if name in known else draw()  # type: ignore[assignment]  # names are homogeneous
        if not fits(value):
            raise ValueError(f"{name} ({value!r}) is not among the values asked for")
        self.params[name] = value
        return value
