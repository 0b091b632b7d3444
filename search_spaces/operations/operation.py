"""The contract of an operation, and the register of all of them."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, Self, TypeVar

from search_spaces.errors import ArchitectureError
from search_spaces.layers.layer import Layer

MAX_CHANNELS = 4096
MAX_KERNEL = 63


class Lowering(Protocol):
    """Where an operation puts its layers."""

    def add(self, name: str, layer: Layer, *inputs: int) -> int:
        """Append a layer behind the given nodes and return its index."""

    def channels(self, node: int) -> int:
        """Return the channels that come out of a node."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a branch: a description that knows its rules and the layers it stands for.

    Subclasses are frozen dataclasses with a default for each field but `channels`, registered by `register`.
    """

    kind: ClassVar[str]
    channels: int

    def fitted(self, axes: int) -> Self:
        """Return the canonical form for maps of `axes` axes: kernels an axis each, dead fields neutral."""
        return self

    def problem(self, in_channels: int, size: tuple[int, ...]) -> tuple[str, Any, str] | None:
        """Return (field, value, what is allowed) of the first broken rule, or None."""
        return None

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        """Add this operation's layers behind `node`; the stride applies once."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound=type[Operation])
_REGISTER: dict[str, type[Operation]] = {}


def register(kind: str) -> Callable[[Kind], Kind]:
    """Make an operation known under the name that descriptions use."""

    def add(operation: Kind) -> Kind:
        operation.kind = kind
        _REGISTER[kind] = operation
        return operation

    return add


def names() -> tuple[str, ...]:
    """Return the names of all operations."""
    return tuple(sorted(_REGISTER))


def options(kind: str) -> frozenset[str]:
    """Return the fields that an operation understands."""
    return frozenset(field.name for field in fields(_lookup(kind)))


def create(kind: str, **values: Any) -> Operation:
    """Return the operation of that name; raises `ArchitectureError` for unknown names or fields."""
    operation = _lookup(kind)
    unknown = sorted(values.keys() - options(kind))
    if unknown:
        raise ArchitectureError(f"{kind} has no field {unknown[0]!r}{nearest(unknown[0], options(kind))}")
    if "channels" not in values:
        raise ArchitectureError(f"{kind} needs the field channels")
    return operation(**values)


def per_axis(value: Any, axes: int) -> Any:
    """Spread one number over all axes; anything else is left for the rules to judge."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,) * axes
    return tuple(value) if isinstance(value, list | tuple) else value


def kernel_problem(kernel: Any, dilation: Any, size: tuple[int, ...]) -> tuple[str, Any, str] | None:
    """Judge a kernel: one odd number an axis, and a dilation."""
    sides = kernel if isinstance(kernel, tuple) else ()
    if len(sides) != len(size) or not all(is_count(side, MAX_KERNEL) and side % 2 for side in sides):
        return "kernel", kernel, f"one odd number from 1 to {MAX_KERNEL} for each of {len(size)} axes"
    if not is_count(dilation, 32):
        return "dilation", dilation, "1 to 32"
    return None


def is_count(value: Any, most: int) -> bool:
    """Whether a value is a whole number from 1 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def nearest(word: str, known: Any) -> str:
    """Return ' (did you mean ...?)' or what is allowed."""
    close = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; allowed: {', '.join(sorted(known))}"


def _lookup(kind: Any) -> type[Operation]:
    if not isinstance(kind, str) or kind not in _REGISTER:
        raise ArchitectureError(f"unknown operation {str(kind)[:60]!r}{nearest(str(kind)[:60], names())}")
    return _REGISTER[kind]


__all__ = [
    "MAX_CHANNELS",
    "Lowering",
    "Operation",
    "create",
    "is_count",
    "kernel_problem",
    "names",
    "nearest",
    "options",
    "per_axis",
    "register",
    "replace",
]
