"""The contract of an operation, and the register of all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import gcd
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, TypeVar

from search_spaces.errors import ArchitectureError
from search_spaces.fields import Field
from search_spaces.layers.layer import Layer, Shape
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

    def shape(self, node: int) -> Shape:
        """Return the shape (channels, *spatial) that comes out of a node."""

    def channels(self, node: int) -> int:
        """Return the channels that come out of a node."""

    def activate(self, name: str, node: int, *, always: bool = False) -> int:
        """Normalise and activate as the stage does inside its branches.

        Where it does so behind the fusion only, nothing happens unless `always`.
        """

    def normalise(self, name: str, node: int) -> int:
        """Normalise as the stage does inside its branches, if it does."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a branch: a description that knows its rules and the layers it stands for.

    Subclasses are frozen dataclasses with a default for each field but `channels`, registered by `register`.
    Whoever builds an architecture calls `fitted`, then `problem` on what came back, and `lower` only on what
    has no problem; fields may hold anything until then. Sampling calls `repaired` on what it has drawn.
    """

    kind: ClassVar[str]
    # Whether as many channels come out as go in; `channels` is then filled in, and need not be given.
    keeps_channels: ClassVar[bool] = False
    # Whether there are places inside it where a stage may normalise or activate.
    has_inside: ClassVar[bool] = False
    # Whether a search space may make its kernel a column, a row, or both in series.
    can_be_asymmetric: ClassVar[bool] = False
    # The numbers of spatial axes it exists for.
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    # Fields that a search space may choose beside kernel, groups and dilation.
    searched: ClassVar[Mapping[str, Field]] = MappingProxyType({})

    channels: int

    @classmethod
    def is_asked(cls, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a searched field has an effect beside what was drawn before it, groups included."""
        return True

    @classmethod
    def drawn(cls, channels: int, values: Mapping[str, Any]) -> Self:
        """Return the operation that a search space's values stand for; by default each is a field."""
        known = options(cls.kind)
        return cls(channels=channels, **{name: value for name, value in values.items() if name in known})

    @property
    def is_linear(self) -> bool:
        """Whether, without activations inside, it equals one convolution, at the borders too."""
        return True

    @property
    def sees_neighbours(self) -> bool:
        """Whether one output sees more than one position of the input."""
        return max(getattr(self, "kernel", (1,))) > 1

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> Self:
        """Return the canonical form behind a map: kernels an axis each, dead fields neutral."""
        return self

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        """Return the first broken rule, or None."""
        return None

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> Self:
        """Return the nearest operation that has no problem behind a map, as sampling wants it."""
        return repaired_window(repaired_groups(self, in_channels), size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        """Add this operation's layers behind `node`; the stride applies once."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound=type[Operation])
Some = TypeVar("Some", bound=Operation)
_REGISTER: dict[str, type[Operation]] = {}


def register(kind: str) -> Callable[[Kind], Kind]:
    """Make an operation known under the name that descriptions use."""

    def add(operation: Kind) -> Kind:
        operation.kind = kind
        _REGISTER[kind] = operation
        options.cache_clear()
        return operation

    return add


def names() -> tuple[str, ...]:
    """Return the names of all operations."""
    return tuple(sorted(_REGISTER))


def get(kind: str) -> type[Operation]:
    """Return the class of an operation; raises `ArchitectureError` for an unknown name."""
    return _lookup(kind)


@lru_cache(maxsize=256)
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
    if "channels" not in values and not operation.keeps_channels:
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


def window_problem(kernel: Any, dilation: Any, axes: int, largest: int = MAX_KERNEL) -> Problem | None:
    """Judge a kernel (one odd number an axis) and a dilation."""
    sides = kernel if isinstance(kernel, tuple) else ()
    if len(sides) != axes or not all(is_count(side, largest) and side % 2 for side in sides):
        return "kernel", kernel, f"one odd number from 1 to {largest} for each of {axes} axes"
    if not is_count(dilation, MAX_DILATION):
        return "dilation", dilation, f"1 to {MAX_DILATION}"
    return None


def groups_problem(groups: Any, in_channels: int, channels: int) -> Problem | None:
    """Judge a number of groups: it divides both channel counts."""
    if not is_count(groups, in_channels) or in_channels % groups or channels % groups:
        return "groups", groups, f"a divisor of {in_channels} and {channels} channels"
    return None


def flag_problem(name: str, value: Any) -> Problem | None:
    """Judge a yes or no."""
    return None if isinstance(value, bool) else (name, value, "true, false")


@lru_cache(maxsize=4096)
def largest_groups(level: int, inputs: int, outputs: int) -> int:
    """Return the largest group count up to `level` that divides both channel counts.

    Example:
        >>> largest_groups(8, 12, 32)
        4
    """
    common = gcd(inputs, outputs)
    return next(groups for groups in range(min(level, common), 0, -1) if common % groups == 0)


def repaired_groups(operation: Some, in_channels: int) -> Some:
    """Take a group count, if there is one, for a level: the largest one allowed up to it."""
    level: int = getattr(operation, "groups", 1)
    fitting = 1 if level == 1 else largest_groups(level, in_channels, operation.channels)
    return operation if fitting == level else replace(operation, groups=fitting)  # type: ignore[call-arg]


def repaired_window(operation: Some, size: tuple[int, ...]) -> Some:
    """Clip dilation and kernel, if there are any, so that no tap of a kernel sees nothing but padding."""
    kernel = getattr(operation, "kernel", None)
    if kernel is None:
        return operation
    dilation: int = getattr(operation, "dilation", 1)
    clipped, fitting = clipped_window(kernel, dilation, size)
    if fitting != dilation:
        operation = replace(operation, dilation=fitting)  # type: ignore[call-arg]
    return operation if clipped == kernel else replace(operation, kernel=clipped)  # type: ignore[call-arg]


@lru_cache(maxsize=4096)
def clipped_window(
    kernel: int | tuple[int, ...], dilation: int, size: tuple[int, ...]
) -> tuple[tuple[int, ...], int]:
    """Return the nearest kernel and dilation none of whose taps sees nothing but padding."""
    sides = kernel if isinstance(kernel, tuple) else (kernel,) * len(size)
    for side, space in zip(sides, size, strict=True):
        if side > 1:
            dilation = max(1, min(dilation, (space - 1) // (side // 2)))
    shown_sides = zip(sides, size, strict=True)
    clipped = tuple(min(side, 2 * ((space - 1) // dilation) + 1) for side, space in shown_sides)
    return clipped, 1 if max(clipped) == 1 else dilation


def _lookup(kind: Any) -> type[Operation]:
    if not isinstance(kind, str) or kind not in _REGISTER:
        raise ArchitectureError(f"unknown operation {shown(kind)}{nearest(kind, names())}")
    return _REGISTER[kind]
