"""The parameters of a study's trials as arrays, for importances, slices and parallel coordinates."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Domain:
    """What a parameter may be, read from Optuna's JSON form of a distribution."""

    low: float
    high: float
    log: bool = False
    # None where any number between is possible.
    step: float | None = None
    is_integer: bool = False
    # Of a choice: what may be chosen, in its order; a value is then a place in it.
    choices: tuple[Any, ...] | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the domain that a stored distribution describes."""
        data = json.loads(text)
        attributes = data["attributes"]
        if data["name"] == "CategoricalDistribution":
            choices = tuple(attributes["choices"])
            return cls(low=0, high=len(choices) - 1, step=1, choices=choices)
        return cls(
            low=attributes["low"],
            high=attributes["high"],
            log=attributes.get("log", False),
            step=attributes.get("step"),
            is_integer=data["name"] == "IntDistribution",
        )

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to choose."""
        return self.low == self.high

    def place(self, value: Any) -> float | None:
        """Return a value as a number: itself, or its place among the choices; None if it is none of them."""
        if self.choices is None:
            return float(value)
        # 1 and True are equal but not the same choice.
        same = (n for n, choice in enumerate(self.choices) if choice == value and type(choice) is type(value))
        return next(map(float, same), None)

    def label(self, place: float) -> str:
        """Return a value in words."""
        return f"{place:g}" if self.choices is None else str(self.choices[int(place)])


_domain = lru_cache(maxsize=4096)(Domain.read)


@dataclass(slots=True)
class Param:
    """One parameter over all trials; row n is trial number n."""

    # NaN where a trial has none.
    values: NDArray[np.float64]
    # Places in `domains`; -1 where a trial has none.
    regimes: NDArray[np.int16]
    # All that the parameter could ever be chosen from: conditions and versions of the space change that.
    domains: list[Domain] = field(default_factory=list)


class ParamTable:
    """Parameters by name. Some 10 bytes a trial and parameter."""

    def __init__(self) -> None:
        self.params: dict[str, Param] = {}
        self._regimes: dict[tuple[str, str], int] = {}
        self._size = 0

    def take(self, rows: Iterable[tuple[int, Mapping[str, Any], Mapping[str, str]]], size: int) -> None:
        """Take in trials: number, parameters, and each parameter's stored distribution."""
        self._grow(size)
        for number, values, distributions in rows:
            for name, value in values.items():
                if name in distributions:
                    self._set(number, name, value, distributions[name])

    def among(self, mask: NDArray[np.bool_]) -> dict[str, Param]:
        """Return the parameters of some trials, those that none of them has left out."""
        rows = np.flatnonzero(mask)
        found = {
            name: Param(param.values[rows], param.regimes[rows], param.domains)
            for name, param in self.params.items()
        }
        return {name: param for name, param in found.items() if (param.regimes >= 0).any()}

    def _set(self, number: int, name: str, value: Any, distribution: str) -> None:
        param = self.params.get(name)
        if param is None:
            param = Param(np.full(self._size, np.nan), np.full(self._size, -1, np.int16))
            self.params[name] = param
        regime = self._regimes.get((name, distribution))
        if regime is None:
            regime = self._regimes[name, distribution] = len(param.domains)
            param.domains.append(_domain(distribution))
        place = param.domains[regime].place(value)
        if place is not None:
            param.values[number] = place
            param.regimes[number] = regime

    def _grow(self, size: int) -> None:
        if size <= self._size:
            return
        # With room to spare, for studies grow by a trial at a time.
        room = max(size, self._size * 5 // 4)
        for param in self.params.values():
            param.values = np.append(param.values, np.full(room - self._size, np.nan))
            param.regimes = np.append(param.regimes, np.full(room - self._size, -1, np.int16))
        self._size = room
