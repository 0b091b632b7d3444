"""Conditions on trials as a person or a request writes them: `accuracy >= 95 %, params < 30k`.

One grammar for REST, page and command line: conditions joined by commas or "and", each a metric, `number`,
`state` or `arm`, an operator and a value. A trial without the metric meets no condition on it.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import ARMS, STATES, Columns
from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS

MAX_CONDITIONS: Final = 20
MAX_LENGTH: Final = 500
FIELDS: Final = ("state", "arm", "number", *METRICS)
_WORDS: Final[dict[str, tuple[str, ...]]] = {"state": STATES, "arm": ARMS}
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_SUFFIXES: Final = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6, "g": 1e9}
_CONDITION = re.compile(r"\s*([a-z_0-9]+)\s*(>=|<=|==|>|<|=)\s*(.+?)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?)\s*(%|k|m|g|)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Condition:
    """One bound on a metric or the number, or one state or arm."""

    field: str
    operator: str
    value: float | str

    def __str__(self) -> str:
        value = f"{self.value:.12g}" if isinstance(self.value, float) else self.value
        return f"{self.field}{self.operator}{value}"

    def mask(self, columns: Columns) -> NDArray[np.bool_]:
        """Mark the trials that meet it."""
        if isinstance(self.value, str):
            places = columns.states if self.field == "state" else columns.arms
            return np.asarray(places == _WORDS[self.field].index(self.value), np.bool_)
        values: Any = np.arange(len(columns)) if self.field == "number" else columns.values(self.field)
        return np.asarray(_OPERATORS[self.operator](values, self.value), np.bool_)


def read_filter(text: str) -> tuple[Condition, ...]:
    """Return the conditions that a text states, none for an empty one; raises `InvalidInput`.

    Example:
        >>> [str(condition) for condition in read_filter("accuracy >= 95 % and params < 30k")]
        ['accuracy>=0.95', 'params<30000']
    """
    if len(text) > MAX_LENGTH:
        raise _refused(f"has {len(text)} characters", f"at most {MAX_LENGTH}")
    parts = [part for part in re.split(r",|\sand\s", text, flags=re.IGNORECASE) if part.strip()]
    if len(parts) > MAX_CONDITIONS:
        raise _refused(f"has {len(parts)} conditions", f"at most {MAX_CONDITIONS}")
    return tuple(_condition(part) for part in parts)


def filter_text(conditions: tuple[Condition, ...]) -> str:
    """Return conditions as a text that `read_filter` reads."""
    return ",".join(map(str, conditions))


def matching(columns: Columns, conditions: tuple[Condition, ...]) -> NDArray[np.bool_]:
    """Mark the trials that meet every condition."""
    mask = np.ones(len(columns), np.bool_)
    for condition in conditions:
        mask &= condition.mask(columns)
    return mask


def _condition(part: str) -> Condition:
    found = _CONDITION.fullmatch(part)
    if found is None:
        raise _refused(f"{part.strip()[:60]!r} is no condition", "such as accuracy >= 0.95, state = complete")
    field, sign, value = found[1].lower(), found[2].replace("==", "="), found[3]
    if field not in FIELDS:
        raise _refused(f"{field[:60]!r} is unknown", ", ".join(FIELDS))
    return Condition(field, sign, _word(field, sign, value) if field in _WORDS else _number(value))


def _word(field: str, sign: str, value: str) -> str:
    words = _WORDS[field]
    if sign != "=" or value.lower() not in words:
        raise _refused(f"'{field} {sign} {value[:60]}' is no {field}", f"{field} = {' or '.join(words)}")
    return value.lower()


def _number(value: str) -> float:
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise _refused(f"{value[:60]!r} is no number", "such as 0.95, 95 %, 30k or 1.5M")
    # Divided, for 95 * 0.01 is not 0.95.
    return float(found[1]) / 100 if found[2] == "%" else float(found[1]) * _SUFFIXES[found[2].lower()]


def _refused(message: str, allowed: str) -> InvalidInput:
    return InvalidInput(FieldError("/filter", message, allowed))
