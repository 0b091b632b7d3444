"""One branch of a stage: operations in series."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from search_spaces import operations
from search_spaces.errors import ArchitectureError
from search_spaces.operations import Operation
from search_spaces.operations.operation import MAX_CHANNELS
from search_spaces.validation import as_items, is_count, refuse, shown

MAX_OPERATIONS = 3


@dataclass(frozen=True, slots=True)
class Branch:
    """One to three operations in series."""

    operations: tuple[Operation, ...]

    @property
    def channels(self) -> int:
        """Channels that come out."""
        return self.operations[-1].channels


def fit_branch(branch: Branch, where: str, at: str, channels: int, size: tuple[int, ...]) -> Branch:
    """Return the canonical form behind a map; raises `ArchitectureError` where a rule is broken."""
    if not 1 <= len(branch.operations) <= MAX_OPERATIONS:
        refuse(where, "operations", len(branch.operations), f"1 to {MAX_OPERATIONS} operations", at)
    fitted = []
    for number, operation in enumerate(branch.operations, start=1):
        place, below = f"{where}, {operation.kind} {number}", f"{at}/{number - 1}"
        if not is_count(operation.channels, MAX_CHANNELS):
            refuse(place, "channels", operation.channels, f"1 to {MAX_CHANNELS}", f"{below}/channels")
        operation = operation.fitted(len(size))
        problem = operation.problem(channels, size)
        if problem:
            name, value, allowed = problem
            refuse(place, name, value, allowed, f"{below}/{name}")
        fitted.append(operation)
        channels = operation.channels
    return Branch(tuple(fitted))


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
            data[item.name] = value
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
