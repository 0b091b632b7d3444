"""The fields of a search space: what each may hold, and what it holds where nothing is said."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import SpaceError
from search_spaces.random_trial import Scalar
from search_spaces.validation import shown

# A field's possible values; one alone is fixed and never asked of a trial.
Choices = tuple[Any, ...]

MAX_CHOICES = 64
_RELATIVE_WIDTH = re.compile(r"x\d{1,2}(\.\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its value where nothing is said, and what it accepts."""

    default: Scalar
    # In words, for the error message.
    allowed: str
    accepts: Callable[[Scalar], bool]


def one_of(*values: Scalar) -> Field:
    """A field with a few names; the first is the default."""
    kinds = {type(value) for value in values}
    return Field(
        values[0], f"one of {', '.join(map(_shown, values))}", lambda v: type(v) in kinds and v in values
    )


def whole(default: int, low: int, high: int) -> Field:
    """A whole number from `low` to `high`."""
    return Field(default, f"a whole number from {low} to {high}", lambda v: is_whole(v, low, high))


def kernel(default: int, high: int) -> Field:
    """An odd number for all axes, or one an axis written 3x9."""

    def accepts(value: Scalar) -> bool:
        if isinstance(value, str):
            sides = value.split("x")
            return 2 <= len(sides) <= 3 and all(
                side.isascii() and side.isdigit() and len(side) < 4 and is_odd(int(side), high)
                for side in sides
            )
        return is_odd(value, high)

    return Field(default, f"an odd number from 1 to {high}, or one an axis such as 3x9", accepts)


def kernel_sides(value: int | str, axes: int) -> tuple[int, ...]:
    """Return a kernel an axis each; where it names too few or too many, the last repeats or is left out."""
    if isinstance(value, int):
        return (value,) * axes
    sides = tuple(map(int, value.split("x")))
    return (*sides, *sides[-1:] * axes)[:axes]


def number(default: float, low: float, below: float) -> Field:
    """A number from `low`, below `below`."""

    def accepts(value: Scalar) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value < below

    return Field(default, f"a number from {low:g} and below {below:g}", accepts)


def width(default: int, high: int) -> Field:
    """A count of channels, or a factor on the stage before, written x1.5."""

    def accepts(value: Scalar) -> bool:
        return is_whole(value, 1, high) or (is_relative(value) and 0.1 <= factor(str(value)) <= 16)

    return Field(default, f"a whole number from 1 to {high}, or a factor from x0.1 to x16", accepts)


def is_whole(value: Scalar, low: int, high: int) -> bool:
    """Whether the value is an integer (no boolean) from `low` to `high`."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_odd(value: Scalar, high: int) -> bool:
    """Whether the value is an odd integer from 1 to `high`."""
    return is_whole(value, 1, high) and int(value or 0) % 2 == 1


def is_relative(value: Scalar) -> bool:
    """Whether a width is a factor such as x1.5."""
    return isinstance(value, str) and _RELATIVE_WIDTH.fullmatch(value) is not None


def factor(value: str) -> float:
    """The number in a relative width."""
    return float(value[1:])


def parse_choices(field: Field, value: object, pointer: str) -> Choices:
    """Return what a field may hold: a scalar is fixed, a list is a choice.

    Raises:
        SpaceError: A value is not allowed, given twice, or the list is empty or too long.
    """
    if not isinstance(value, list | tuple):
        return (_checked(field, value, pointer),)
    if not 1 <= len(value) <= MAX_CHOICES:
        raise SpaceError(
            f"{dotted(pointer)} must list 1 to {MAX_CHOICES} choices, not {len(value)}", pointer=pointer
        )
    choices = tuple(_checked(field, item, f"{pointer}/{index}") for index, item in enumerate(value))
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            raise SpaceError(f"{dotted(pointer)} lists {_shown(choice)} twice", pointer=f"{pointer}/{index}")
    return choices


def parse_fields(fields: Mapping[str, Field], data: Mapping[str, Any], pointer: str) -> dict[str, Choices]:
    """Return the choices of every field; the ones that `data` does not name hold their default."""
    return {
        name: parse_choices(field, data[name], f"{pointer}/{name}") if name in data else (field.default,)
        for name, field in fields.items()
    }


def parse_fixed(field: Field, data: Mapping[str, Any], name: str, pointer: str) -> Any:
    """Return a field that is never a choice."""
    return _checked(field, data.get(name, field.default), f"{pointer}/{name}")


def as_mapping(data: object, known: Iterable[str], pointer: str) -> Mapping[str, Any]:
    """Return `data` as a mapping that holds none but the known keys.

    Raises:
        SpaceError: It is something else, or holds an unknown key; the message offers the nearest known one.
    """
    if not isinstance(data, Mapping):
        raise SpaceError(f"{dotted(pointer)} must be a mapping, not {_shown(data)}", pointer=pointer)
    names = list(known)
    for key in data:
        if key not in names:
            raise unknown(key, names, pointer, below=f"/{escaped(key)}")
    return data


def unknown(
    name: object, known: Iterable[str], pointer: str, *, below: str = "", what: str = "field"
) -> SpaceError:
    """The error for a name that does not exist, with the nearest one that does."""
    names = list(known)
    near = difflib.get_close_matches(name[:60], names, n=1) if isinstance(name, str) else []
    hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(names)}"
    where = f"{dotted(pointer)}: " if pointer else ""
    return SpaceError(f"{where}unknown {what} {_shown(name)!r}; {hint}", pointer=pointer + below)


def dotted(pointer: str) -> str:
    """A JSON pointer as people write it: stage.branch.kernel."""
    return pointer.strip("/").replace("/", ".") or "the search space"


def escaped(key: object) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return _shown(key)[:40].replace("~", "~0").replace("/", "~1")


def _checked(field: Field, value: Any, pointer: str) -> Scalar:
    if not field.accepts(value):
        raise SpaceError(f"{dotted(pointer)} ({_shown(value)}) must be {field.allowed}", pointer=pointer)
    checked: Scalar = value
    return checked


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else shown(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
