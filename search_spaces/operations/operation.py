"""The contract of an operation, and the register of all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

from search_spaces.errors import ArchitectureError
from search_spaces.layers.layer import Layer
from search_spaces.validation import is_count, nearest, shown

MAX_CHANNELS = 4096
MAX_KERNEL = 63
MAX_DILATION = 32

# (field, value, what is allowed) of a broken rule.
Problem = tuple[str, Any, str]


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
    Whoever builds an architecture calls `fitted`, then `problem` on what came back, and `lower` only on what
    has no problem; fields may hold anything until then.
    """

    kind: ClassVar[str]
    channels: int

    def fitted(self, axes: int) -> Self:
        """Return the canonical form for maps of `axes` axes: kernels an axis each, dead fields neutral."""
        return self

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        """Return the first broken rule, or None."""
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


def create(kind: str, /, **values: Any) -> Operation:
    """Return the operation of that name; raises `ArchitectureError` for unknown names or fields."""
    return read(kind, values)


def read(kind: Any, values: Mapping[Any, Any]) -> Operation:
    """Return the operation of that name with fields from plain data, whatever either holds.

    Raises:
        ArchitectureError: The name or a field is unknown, or `channels` is missing.
    """
    operation = _lookup(kind)
    known = options(kind)
    for name in values:
        if name not in known:
            raise ArchitectureError(f"{kind} has no field {shown(name)}{nearest(name, known)}")
    if "channels" not in values:
        raise ArchitectureError(f"{kind} needs the field channels")
    return operation(**values)


def fitted_window(kernel: Any, dilation: Any, axes: int) -> tuple[Any, Any]:
    """Return kernel and dilation in canonical form, and as they are where `window_problem` will refuse them.

    One number stands for all axes; a kernel of 1 has nothing to dilate.
    """
    if isinstance(kernel, int) and not isinstance(kernel, bool):
        kernel = (kernel,) * axes
    elif isinstance(kernel, list):
        kernel = tuple(kernel)
    is_pointwise = isinstance(kernel, tuple) and all(side == 1 for side in kernel)
    return kernel, 1 if is_pointwise and is_count(dilation, MAX_DILATION) else dilation


def window_problem(kernel: Any, dilation: Any, axes: int) -> Problem | None:
    """Judge a kernel (one odd number an axis) and a dilation."""
    sides = kernel if isinstance(kernel, tuple) else ()
    if len(sides) != axes or not all(is_count(side, MAX_KERNEL) and side % 2 for side in sides):
        return "kernel", kernel, f"one odd number from 1 to {MAX_KERNEL} for each of {axes} axes"
    if not is_count(dilation, MAX_DILATION):
        return "dilation", dilation, f"1 to {MAX_DILATION}"
    return None


def _lookup(kind: Any) -> type[Operation]:
    if not isinstance(kind, str) or kind not in _REGISTER:
        raise ArchitectureError(f"unknown operation {shown(kind)}{nearest(kind, names())}")
    return _REGISTER[kind]
