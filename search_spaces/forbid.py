"""Rules that forbid combinations: data on fields, judged on the finished architecture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from search_spaces.architecture import Architecture, Stage
from search_spaces.errors import SpaceError
from search_spaces.fields import MAX_CHOICES, as_mapping, dotted, unknown
from search_spaces.head import Head
from search_spaces.operations import Operation, get, names

MAX_RULES = 64
_BOUNDS = ("min", "max")
_STAGE_FIELDS = tuple(item.name for item in fields(Stage))
_HEAD_FIELDS = tuple(item.name for item in fields(Head))


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field must hold for a rule to apply: one of some values, or a number between bounds."""

    values: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None

    @classmethod
    def parse(cls, data: object, pointer: str) -> "Condition":
        """Read a scalar, a list of them, or {min, max}."""
        if isinstance(data, Mapping):
            bounds = as_mapping(data, _BOUNDS, pointer)
            if not bounds or not all(_is_number(bound) for bound in bounds.values()):
                raise SpaceError(f"{dotted(pointer)} needs numbers for min, max or both", pointer=pointer)
            return cls(least=bounds.get("min"), most=bounds.get("max"))
        values = tuple(data) if isinstance(data, list | tuple) else (data,)
        if not 1 <= len(values) <= MAX_CHOICES or not all(_is_scalar(value) for value in values):
            allowed = f"a value, 1 to {MAX_CHOICES} values, or min and max"
            raise SpaceError(f"{dotted(pointer)} must be {allowed}", pointer=pointer)
        return cls(values=tuple(None if value == "none" else value for value in values))

    def holds(self, value: Any) -> bool:
        """Whether a field's value fulfils it; of a kernel or another list, the largest entry counts."""
        if isinstance(value, tuple):
            value = max(value, default=0)
        if self.least is None and self.most is None:
            value = None if value == "none" else value
            return any(type(value) is type(choice) and value == choice for choice in self.values)
        return _is_number(value) and (
            (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """A combination that a space forbids.

    Paths are `depth`, `head.FIELD`, `stage.FIELD` or `stage2.FIELD` and `branch.FIELD`. All conditions must
    hold together: those on `stage` and `branch` in one stage, those on `branch` in one of its operations.
    """

    conditions: tuple[tuple[str, Condition], ...]

    @classmethod
    def parse(cls, data: object, pointer: str) -> "Rule":
        """Read a mapping of paths to conditions; raises `SpaceError` with the pointer of what is wrong."""
        if not isinstance(data, Mapping) or not data:
            raise SpaceError(f"{dotted(pointer)} must map fields to what they must not be", pointer=pointer)
        known = _paths()
        conditions = []
        for path, condition in data.items():
            if path not in known:
                raise unknown(path, known, pointer)
            conditions.append((str(path), Condition.parse(condition, f"{pointer}/{path}")))
        return cls(tuple(conditions))

    def forbids(self, architecture: Architecture) -> bool:
        """Whether an architecture is such a combination."""
        if not all(
            condition.holds(_of_network(architecture, path))
            for path, condition in self.conditions
            if path.startswith(("depth", "head"))
        ):
            return False
        local = [item for item in self.conditions if not item[0].startswith(("depth", "head"))]
        stages = enumerate(architecture.stages, start=1)
        return not local or any(_holds_in(stage, number, local) for number, stage in stages)

    def __str__(self) -> str:
        return " and ".join(f"{path} {_shown(condition)}" for path, condition in self.conditions)


def parse_rules(data: object, pointer: str) -> tuple[Rule, ...]:
    """Read a space's `forbid` list."""
    if not isinstance(data, list | tuple) or len(data) > MAX_RULES:
        raise SpaceError(f"{dotted(pointer)} must be a list of at most {MAX_RULES} rules", pointer=pointer)
    return tuple(Rule.parse(rule, f"{pointer}/{index}") for index, rule in enumerate(data))


def _holds_in(stage: Stage, number: int, local: list[tuple[str, Condition]]) -> bool:
    inner = [(path.partition(".")[2], rule) for path, rule in local if path.startswith("branch.")]
    for path, condition in local:
        place, _, name = path.partition(".")
        if place == "branch":
            continue
        if place not in ("stage", f"stage{number}") or not condition.holds(_of_stage(stage, name)):
            return False
    operations = (operation for branch in stage.branches for operation in branch.operations)
    return not inner or any(_holds_for(operation, inner) for operation in operations)


def _holds_for(operation: Operation, inner: Iterable[tuple[str, Condition]]) -> bool:
    return all(
        rule.holds(operation.kind if name == "op" else getattr(operation, name, None)) for name, rule in inner
    )


def _of_network(architecture: Architecture, path: str) -> Any:
    if path == "depth":
        return len(architecture.stages)
    return getattr(architecture.head, path.partition(".")[2])


def _of_stage(stage: Stage, name: str) -> Any:
    return len(stage.branches) if name == "branches" else getattr(stage, name)


def _paths() -> tuple[str, ...]:
    operation_fields = {"op", *(item.name for kind in names() for item in fields(get(kind)))}
    stages = ("stage", *(f"stage{number}" for number in range(1, 7)))
    return (
        "depth",
        *(f"head.{name}" for name in _HEAD_FIELDS),
        *(f"{stage}.{name}" for stage in stages for name in _STAGE_FIELDS),
        *(f"branch.{name}" for name in sorted(operation_fields)),
    )


def _shown(condition: Condition) -> str:
    if condition.values:
        return " or ".join("none" if value is None else str(value) for value in condition.values)
    bounds = (("at least", condition.least), ("at most", condition.most))
    return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


def _is_scalar(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= MAX_CHOICES)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
