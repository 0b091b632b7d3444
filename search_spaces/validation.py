"""Checks of fields that others wrote; what is wrong is said in one line of bounded length."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from search_spaces.errors import ArchitectureError

_LONGEST = 80
# Python refuses to print integers beyond 4,300 digits.
_MOST_BITS = 200


def refuse(where: str, name: str, value: Any, allowed: str, at: str) -> NoReturn:
    """Raise the `ArchitectureError` that names place, field, value and what is allowed."""
    raise ArchitectureError(f"{where}: {name} is {shown(value)}; allowed: {allowed}", at)


def one_of(where: str, name: str, value: Any, allowed: tuple[Any, ...], at: str) -> None:
    """Refuse a value that is none of the allowed ones."""
    # A bool equals 0 or 1 in Python, and an unhashable value fails in a set: compare type and value.
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        names = ", ".join("null" if choice is None else str(choice) for choice in allowed)
        refuse(where, name, value, names, at)


def as_mapping(data: Any, allowed: Iterable[str], where: str, at: str) -> Mapping[str, Any]:
    """Return `data` as a mapping that holds none but the allowed fields."""
    if not isinstance(data, Mapping):
        raise ArchitectureError(f"{where} must be a mapping, not {shown(data)}", at)
    known = tuple(allowed)
    for name in data:
        if name not in known:
            raise ArchitectureError(
                f"{where} has no field {shown(name)}{nearest(name, known)}", f"{at}/{_token(name)}"
            )
    return data


def as_items(data: Any, least: int, most: int, where: str, at: str) -> list[Any]:
    """Return `data` as a list of `least` to `most` items."""
    if not isinstance(data, list | tuple) or not least <= len(data) <= most:
        raise ArchitectureError(f"{where} must be a list of {least} to {most}, not {shown(data)}", at)
    return list(data)


def need(data: Mapping[str, Any], names: tuple[str, ...], where: str, at: str) -> None:
    """Refuse a mapping that lacks one of the fields."""
    for name in names:
        if name not in data:
            raise ArchitectureError(f"{where} needs the field {name}", f"{at}/{name}")


def is_count(value: Any, most: int) -> bool:
    """Whether a value is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def is_rate(value: Any) -> bool:
    """Whether a value is a number from 0 up to, not including, 1."""
    return type(value) in (int, float) and 0 <= value < 1


def plain_rate(rate: float) -> float:
    """Return a rate as a float; 0, 0.0 and -0.0 are equal, and written in three ways."""
    if type(rate) is float and (rate or str(rate) == "0.0"):
        return rate
    return float(rate) if rate else 0.0


def nearest(word: Any, known: Iterable[str]) -> str:
    """Return '; did you mean ...?', or what is allowed."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:_LONGEST], names, n=1) if isinstance(word, str) else []
    return f"; did you mean {close[0]!r}?" if close else f"; allowed: {', '.join(names)}"


def shown(value: Any) -> str:
    """Return a value in at most 80 characters; containers by their length, for they may nest without end."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return "a huge number"
    if isinstance(value, list | tuple) and len(value) <= 4 and all(map(_is_short, value)):
        return str(list(value))
    if isinstance(value, list | tuple | Mapping | set | frozenset):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value[:_LONGEST] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _token(name: Any) -> str:
    """A key as part of a JSON pointer (RFC 6901), without lone surrogates, which no UTF-8 can hold."""
    text = name[:_LONGEST] if isinstance(name, str) else shown(name)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("~", "~0").replace("/", "~1")


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e12
