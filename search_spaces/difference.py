"""What differs between two networks, field by field, with stages, branches and operations brought together.

Stages and operations keep their order, so they are aligned as sequences are; branches have none, so each is
compared with the one that it resembles most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from search_spaces.alignment import Pair, aligned, matched
from search_spaces.architecture import Architecture, Branch, Stage
from search_spaces.operations import Operation
from search_spaces.wording import kernel, short_branch, short_operation, short_stage

# What an operation without a counterpart counts, in changed fields; a stage without one has fields besides.
_OPERATION, _STAGE = 3, 3
_HEAD = ("pool", "bins", "dense", "dropout")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in which the new network differs from the old one."""

    # In words: "stage 2, branch 1, conv 1"; places are those of the new network where it has the thing.
    where: str
    # A field's name; "stage", "branch" or "operation" where a whole one was added, removed or replaced.
    field: str
    # None where there is none; whole parts are written as in `wording.summary`.
    before: Any
    after: Any
    # JSON pointers to it in the old and in the new network; None where it is not there.
    before_at: str | None
    after_at: str | None


def difference(old: Architecture, new: Architecture) -> tuple[Change, ...]:
    """Return what has to be changed to turn one network into another; empty for equal ones.

    Channels that an operation only passes on are left out: they follow from what stands before it.
    """
    return tuple(_changes(old, new))


@lru_cache(maxsize=16_384)
def distance(old: Architecture, new: Architecture) -> int:
    """Return how many fields differ, whole parts counting for several."""
    return sum(1 for _ in _ends(old, new)) + aligned(old.stages, new.stages, _stage_distance, _stage_size)[0]


def place_before(change: Change) -> str:
    """Return where something was, by the numbers of the old network; where it was not, its place in the new.

    Example:
        >>> at = "/stages/0/branches/2/0"
        >>> place_before(Change("stage 1, branch 1, conv 1", "kernel", 3, 5, at, at))
        'stage 1, branch 3, conv 1'
    """
    if change.before_at is None:
        return change.where
    numbers = [int(part) + 1 for part in change.before_at.split("/") if part.isdigit()]
    names = [part.rsplit(" ", 1)[0] for part in change.where.split(", ")]
    return (
        ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
        if numbers
        else change.where
    )


def words(change: Change) -> str:
    """Return a change without its place.

    Example:
        >>> words(Change("stage 1", "fusion", "add", "concat", "/stages/0/fusion", "/stages/0/fusion"))
        'fusion add → concat'
        >>> words(Change("stage 3", "stage", None, "32·3x3", None, "/stages/2"))
        'stage added: 32·3x3'
    """
    name = change.field.replace("_", " ")
    if change.before_at is None:
        return f"{name} added: {change.after}"
    if change.after_at is None:
        return f"{name} removed: {change.before}"
    return f"{name} {value_text(change.before)} → {value_text(change.after)}"


def brief(changes: Sequence[Change]) -> list[str]:
    """Return a line for each stage and for the head.

    Such as "stage 2: channels 16 → 32 in 2 places, fusion add → concat". A stage's channels are left out
    where those of its branches say the same.
    """
    lines: dict[str, dict[str, int]] = {}
    for change in changes:
        place, *inner = change.where.split(", ")
        is_told = change.field == "channels" and not inner and _has_inner_channels(changes, place)
        if not is_told:
            told = lines.setdefault(place, {})
            told[words(change)] = told.get(words(change), 0) + 1
    return [f"{place}: {', '.join(_counted(told))}" for place, told in lines.items()]


def value_text(value: Any) -> str:
    """Return a field's value in words."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _has_inner_channels(changes: Sequence[Change], place: str) -> bool:
    return any(
        change.field in ("channels", "branch", "operation") and change.where.startswith(f"{place}, ")
        for change in changes
    )


def _counted(told: dict[str, int]) -> list[str]:
    return [text if count == 1 else f"{text} in {count} places" for text, count in told.items()]


def _changes(old: Architecture, new: Architecture) -> Iterator[Change]:
    ends = list(_ends(old, new))
    yield from (change for change in ends if change.where == "input")
    _, pairs = aligned(old.stages, new.stages, _stage_distance, _stage_size)
    for before, after in pairs:
        yield from _stage_changes(old.stages, new.stages, before, after)
    yield from (change for change in ends if change.where != "input")


def _ends(old: Architecture, new: Architecture) -> Iterator[Change]:
    yield from _fields("input", ("input_shape",), old, new, "", "")
    yield from _fields("head", _HEAD, old.head, new.head, "/head", "/head")
    yield from _fields("head", ("classes",), old, new, "", "")


def _stage_changes(
    olds: Sequence[Stage], news: Sequence[Stage], before: int | None, after: int | None
) -> Iterator[Change]:
    old = None if before is None else olds[before]
    new = None if after is None else news[after]
    at = (_below("/stages", before), _below("/stages", after))
    where = f"stage {_number(before, after)}"
    if old is None or new is None:
        yield _whole(where, "stage", old and short_stage(old), new and short_stage(new), at)
        return
    _, pairs = _matched(old, new)
    for first, second in pairs:
        yield from _branch_changes(where, at, old.branches, new.branches, (first, second))
    names = [item.name for item in fields(Stage) if item.name != "branches"]
    yield from _fields(where, names, old, new, at[0] or "", at[1] or "")


def _branch_changes(
    where: str,
    at: tuple[str | None, str | None],
    olds: Sequence[Branch],
    news: Sequence[Branch],
    pair: Pair,
) -> Iterator[Change]:
    before, after = pair
    at = (_below(f"{at[0]}/branches", before), _below(f"{at[1]}/branches", after))
    where = f"{where}, branch {_number(before, after)}"
    old = None if before is None else olds[before]
    new = None if after is None else news[after]
    if old is None or new is None:
        yield _whole(where, "branch", old and short_branch(old), new and short_branch(new), at)
        return
    _, pairs = aligned(old.operations, new.operations, _operation_distance, _operation_size)
    for first, second in pairs:
        yield from _operation_changes(
            where,
            (_below(at[0] or "", first), _below(at[1] or "", second)),
            None if first is None else old.operations[first],
            None if second is None else new.operations[second],
            _number(first, second),
        )


def _operation_changes(
    where: str, at: tuple[str | None, str | None], old: Operation | None, new: Operation | None, number: int
) -> Iterator[Change]:
    if old is None or new is None or old.kind != new.kind:
        place = f"{where}, operation {number}"
        yield _whole(place, "operation", old and short_operation(old), new and short_operation(new), at)
        return
    place = f"{where}, {new.kind.replace('_', ' ')} {number}"
    for name in _differing(old, new):
        before, after = getattr(old, name), getattr(new, name)
        if name == "kernel":
            before, after = kernel(old), kernel(new)
        yield Change(place, name, before, after, at[0], at[1])


def _differing(old: Operation, new: Operation) -> list[str]:
    """Return the fields in which two operations of one kind differ, but channels that are only passed on."""
    return [
        item.name
        for item in fields(new)
        if getattr(old, item.name) != getattr(new, item.name)
        and not (item.name == "channels" and new.keeps_channels)
    ]


def _whole(where: str, field: str, before: Any, after: Any, at: tuple[str | None, str | None]) -> Change:
    return Change(where, field, before, after, at[0], at[1])


def _fields(
    where: str, names: Sequence[str], old: Any, new: Any, before_at: str, after_at: str
) -> Iterator[Change]:
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Change(where, name, before, after, f"{before_at}/{name}", f"{after_at}/{name}")


def _number(before: int | None, after: int | None) -> int:
    return (after if after is not None else before or 0) + 1


def _below(at: str, place: int | None) -> str | None:
    return None if place is None else f"{at}/{place}"


@lru_cache(maxsize=65_536)
def _operation_distance(old: Operation, new: Operation) -> int:
    return len(_differing(old, new)) if old.kind == new.kind else 2


def _operation_size(_: Operation) -> int:
    return _OPERATION


@lru_cache(maxsize=65_536)
def _branch_distance(old: Branch, new: Branch) -> int:
    return aligned(old.operations, new.operations, _operation_distance, _operation_size)[0]


def _branch_size(branch: Branch) -> int:
    return _OPERATION * len(branch.operations)


@lru_cache(maxsize=65_536)
def _stage_distance(old: Stage, new: Stage) -> int:
    names = [item.name for item in fields(Stage) if item.name not in ("branches", "channels")]
    differing = [name for name in names if getattr(old, name) != getattr(new, name)]
    return len(differing) + _matched(old, new)[0]


def _matched(old: Stage, new: Stage) -> tuple[int, list[Pair]]:
    return matched(old.branches, new.branches, _branch_distance, _branch_size)


def _stage_size(stage: Stage) -> int:
    return _STAGE + sum(map(_branch_size, stage.branches))
