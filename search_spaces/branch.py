"""One branch of a stage: operations in series."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from search_spaces import operations
from search_spaces.errors import ArchitectureError
from search_spaces.operations import Operation
from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.validation import as_items, is_count, refuse, shown

MAX_OPERATIONS = 3


@dataclass(frozen=True)
class Branch:
    """One to three operations in series."""

    operations: tuple[Operation, ...]

    @cached_property
    def text(self) -> str:
        """The JSON text that equal branches share, and by which they are ordered."""
        return json.dumps(branch_to_data(self), sort_keys=True)

    def __hash__(self) -> int:
        # Branches are looked up often, and a text remembers its hash.
        return hash(self.text)

    @cached_property
    def is_linear(self) -> bool:
        """Whether no operation holds an activation of its own."""
        return all(operation.is_linear for operation in self.operations)

    @property
    def channels(self) -> int:
        """Channels that come out of the last operation."""
        return self.operations[-1].channels

    @property
    def strided(self) -> int:
        """The operation, counted from 1, that a striding stage gives its stride.

        It is the first that sees more than one position: a stride before it would leave positions unseen.
        """
        for number, operation in enumerate(self.operations, start=1):
            if operation.sees_neighbours:
                return number
        return 1


def channels_out(branch: Branch, *, dense: bool) -> int:
    """Return the channels of a branch; where connections are dense, of all its operations together."""
    return sum(operation.channels for operation in branch.operations) if dense else branch.channels


# Branches that fit behind a map, by identity, so that no two types that compare equal are mixed up. The
# value keeps its key's object alive.
_FITTING: dict[tuple[int, int, tuple[int, ...], bool], Branch] = {}
_MOST_FITTING = 2**17


def known_to_fit(
    branches: tuple[Branch, ...], channels: int, size: tuple[int, ...], *, dense: bool
) -> tuple[Branch, ...] | None:
    """Return branches that have all been found to fit behind such a map; None where one has not."""
    for branch in branches:
        if (id(branch), channels, size, dense) not in _FITTING:
            return None
    return branches


def fit_branch(
    branch: Branch, where: str, at: str, channels: int, size: tuple[int, ...], *, dense: bool = False
) -> Branch:
    """Return the canonical form behind a map; raises `ArchitectureError` where a rule is broken.

    Args:
        branch: What to judge.
        where: Its place in words.
        at: Its JSON pointer.
        channels: Channels of the map before it.
        size: Spatial size of that map.
        dense: Whether each operation also reads all maps before it.
    """
    known = _FITTING.get((id(branch), channels, size, dense))
    if known is not None:
        return known
    fitted = _fitted(branch, where, at, channels, size, dense)
    if len(_FITTING) >= _MOST_FITTING:
        _FITTING.clear()
    _FITTING[id(fitted), channels, size, dense] = fitted
    return fitted


def _fitted(branch: Branch, where: str, at: str, channels: int, size: tuple[int, ...], dense: bool) -> Branch:
    if not 1 <= len(branch.operations) <= MAX_OPERATIONS:
        refuse(where, "operations", len(branch.operations), f"1 to {MAX_OPERATIONS} operations", at)
    fitted = []
    for number, operation in enumerate(branch.operations, start=1):
        place, below = f"{where}, {operation.kind} {number}", f"{at}/{number - 1}"
        operation = _fitted_operation(operation, place, below, channels, size)
        fitted.append(operation)
        channels = channels + operation.channels if dense else operation.channels
        if channels > 4 * MAX_CHANNELS:
            refuse(place, "channels", channels, f"at most {4 * MAX_CHANNELS} in all", f"{below}/channels")
    return Branch(tuple(fitted))


def _fitted_operation(
    operation: Operation, where: str, at: str, channels: int, size: tuple[int, ...]
) -> Operation:
    if len(size) not in operation.axes:
        there_are = " or ".join(map(str, operation.axes))
        refuse(
            where, "op", operation.kind, f"operations for {len(size)} axes; it has {there_are}", f"{at}/op"
        )
    is_left_open = operation.keeps_channels and operation.channels is None
    if not is_left_open and not is_count(operation.channels, MAX_CHANNELS):
        refuse(where, "channels", operation.channels, f"1 to {MAX_CHANNELS}", f"{at}/channels")
    operation = operation.fitted(channels, size)
    problem = operation.problem(channels, size)
    if problem:
        name, value, allowed = problem
        refuse(where, name, value, allowed, f"{at}/{name}")
    return operation


def branch_to_data(branch: Branch) -> list[dict[str, Any]]:
    """Return plain data; fields at their default are left out, and so is an axis that repeats the first."""
    return [_operation_to_data(operation) for operation in branch.operations]


def branch_from(data: Any, where: str, at: str) -> Branch:
    """Read plain data; raises `ArchitectureError` for anything that is no branch."""
    steps = as_items(data, 1, MAX_OPERATIONS, where, at)
    return Branch(tuple(_operation_from(step, where, f"{at}/{index}") for index, step in enumerate(steps)))


def _operation_to_data(operation: Operation) -> dict[str, Any]:
    data: dict[str, Any] = {"op": operation.kind}
    for item in fields(operation):
        value = getattr(operation, item.name)
        if item.name == "kernel":
            data["kernel"] = value[0] if len(set(value)) == 1 else list(value)
        elif value != item.default:
            data[item.name] = list(value) if isinstance(value, tuple) else value
    return data


def _operation_from(data: Any, where: str, at: str) -> Operation:
    if not isinstance(data, Mapping) or "op" not in data:
        raise ArchitectureError(
            f"{where}: an operation is a mapping with op and channels, not {shown(data)}", at
        )
    try:
        return operations.read(data["op"], {name: value for name, value in data.items() if name != "op"})
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error}", at) from error
