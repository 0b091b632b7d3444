"""From a range to one stage: ask what has an effect, then repair what does not fit.

Choices are repaired after they are drawn, never shortened before: Optuna wants the same choices under
the same name in every trial.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from search_spaces import fields, operations
from search_spaces.architecture import MAX_OPERATIONS, Branch, Head, Stage
from search_spaces.branch import channels_out, fit_branch
from search_spaces.operations import Operation
from search_spaces.operations.operation import clipped_window, largest_groups
from search_spaces.random_trial import Suggests
from search_spaces.ranges import FREE, BranchRange, HeadRange, StageRange, has_levels
from search_spaces.stage import GROWING, MAX_BRANCHES, POOLS, size_behind

MAX_WIDTH = 1024
# A larger map gets no self-attention, which compares all positions with all.
LARGEST_ATTENDED = 1024
Value = TypeVar("Value")


class Ask:
    """Asks a trial for choices whose names start with `prefix`.

    A choice of one is not asked, unless the trial wants to hear of all (`asks_all`).
    """

    __slots__ = ("asks_all", "prefix", "suggest", "trial")

    def __init__(self, trial: Suggests, prefix: str = "") -> None:
        self.trial, self.prefix = trial, prefix
        self.suggest = trial.suggest_categorical
        self.asks_all: bool = getattr(trial, "asks_all", False)

    def __call__(self, name: str, choices: tuple[Value, ...]) -> Value:
        """Return the only choice unasked, else what the trial suggests."""
        if len(choices) == 1 and not self.asks_all:
            return choices[0]
        return self.suggest(self.prefix + name, choices)  # type: ignore[return-value, arg-type]  # one of them

    def below(self, name: str) -> "Ask":
        """Return the same for names below a name."""
        inner = Ask.__new__(Ask)
        inner.trial, inner.suggest, inner.asks_all = self.trial, self.suggest, self.asks_all
        inner.prefix = f"{self.prefix}{name}."
        return inner


class FeatureMap(NamedTuple):
    """What flows between two stages: channels and spatial size."""

    channels: int
    size: tuple[int, ...]


def sample_stage(
    stage: StageRange, ask: Ask, before: FeatureMap, tied: Mapping[str, Any], space: "Bounds"
) -> Stage:
    """Draw one stage that can stand behind `before`."""
    layout, ranges = _layout(stage, ask)
    drawn = _own_fields(stage, ask, tied)
    fusion, splits = _fusion(stage, ask, len(ranges))
    connection = _fitting_connection(drawn["connection"], space.is_first)
    dense = connection in GROWING
    width = _width(drawn["width"], before.channels)
    branches = _branches(ranges, ask if layout == FREE else ask.below(layout), before, width, splits, dense)
    if splits:
        width = sum([channels_out(branch, dense=dense) for branch in branches])
    has_one_place = _has_one_place(branches)
    downsample = _fitting_downsample(drawn["downsample"], before.size, space.smallest_map, dense)
    size = size_behind(downsample, before.size)
    return Stage(
        branches=branches,
        fusion=fusion,
        channels=width + before.channels if dense else width,
        connection="dense" if connection == "dual_path" and width < 2 else connection,
        attention=None if drawn["attention"] == "none" else drawn["attention"],
        self_attention=_fitting_self_attention(drawn["self_attention"], size),
        norm=drawn["norm"],
        activation=drawn["activation"],
        branch_activation=False if has_one_place else ask("branch_activation", stage.branch_activation),
        downsample=downsample,
        pool_position=drawn["pool_position"] if downsample in POOLS else "before_norm",
        dropout=drawn["dropout"],
    )


def _own_fields(stage: StageRange, ask: Ask, tied: Mapping[str, Any]) -> dict[str, Any]:
    """Draw what every stage has, whatever its branches are; tied fields were drawn before."""
    drawn = dict(stage.fixed)
    for name in stage.own_fields if ask.asks_all else stage.open_fields:
        drawn[name] = ask(name, getattr(stage, name))
    for name in stage.tied:
        drawn[name] = tied[name]
    return drawn


class Bounds(NamedTuple):
    """What a stage must heed beside its own range."""

    smallest_map: int
    is_first: bool


def after(stage: Stage, before: FeatureMap) -> FeatureMap:
    """Return what flows out of a stage."""
    return FeatureMap(stage.channels, size_behind(stage.downsample, before.size))


def _remembered(branch: BranchRange, ask: Ask, before: FeatureMap, channels: int, dense: bool) -> Branch:
    """Return what a range without any choice comes to from `before` to `channels` channels."""
    key = (id(branch), before, channels, dense)
    known = _FIXED.get(key)
    if known is None:
        if len(_FIXED) >= _MOST_FIXED:
            _FIXED.clear()
        known = _FIXED[key] = (branch, _drawn(branch, ask, before, channels, dense))
    return known[1]


# What ranges without a choice come to, by their identity; the value keeps the range alive.
_FIXED: dict[tuple[int, FeatureMap, int, bool], tuple[BranchRange, Branch]] = {}
_MOST_FIXED = 2**16


class _Facts(NamedTuple):
    """What sampling needs to know of an operation."""

    kind: type[Operation]
    has_kernel: bool
    has_dilation: bool
    has_levels: bool


@lru_cache(maxsize=256)
def _facts(operation: str, axes: int) -> tuple[str, _Facts]:
    """Return an operation's name and facts; where it does not exist for so many axes, the convolution's."""
    if axes not in operations.get(operation).axes:
        operation = "conv"
    known = operations.options(operation)
    facts = _Facts(operations.get(operation), "kernel" in known, "dilation" in known, has_levels(operation))
    return operation, facts


@lru_cache(maxsize=2**14)
def _is_wide(kernel: int | str, size: tuple[int, ...]) -> bool:
    """Whether a kernel, clipped to a map, sees more than one position."""
    return max(clipped_window(fields.kernel_sides(kernel, len(size)), 1, size)[0]) > 1


def _drawn(branch: BranchRange, ask: Ask, before: FeatureMap, channels: int, dense: bool) -> Branch:
    values, (before_channels, size) = branch.values, before
    name, facts = _facts(ask("operation", values["operation"]), len(size))
    kernel = ask("kernel", values["kernel"]) if facts.has_kernel else 1
    shape, dilation = "square", 1
    if facts.has_kernel and _is_wide(kernel, size):
        if len(size) > 1 and facts.kind.can_be_asymmetric:
            shape = ask("shape", values["shape"])
        if facts.has_dilation:
            dilation = ask("dilation", values["dilation"])
    repeat = ask("repeat", values["repeat"])
    narrow = channels // ask("bottleneck", values["bottleneck"])
    inputs = narrow if 1 <= narrow < min(channels, before_channels) else before_channels
    groups = 1
    if facts.has_levels and math.gcd(inputs, channels) > 1:
        groups = largest_groups(ask("groups", values["groups"]), inputs, channels)
    drawn: dict[str, Any] = {"groups": groups}
    for field in facts.kind.searched:
        if facts.kind.is_asked(field, drawn):
            drawn[field] = ask(field, values[field])
    plan = _Plan(name, kernel, shape, dilation, tuple(drawn.items()), repeat, narrow, channels, dense)
    return _built(plan, before)


def sample_head(head: HeadRange, ask: Ask, before: FeatureMap) -> Head:
    """Draw the head that stands behind the last map."""
    pool = ask("pool", head.pool)
    bins = 1 if pool == "flatten" else ask("bins", head.bins)
    is_too_large = pool == "flatten" and math.prod(before.size) > head.largest_flatten
    layers = ask("dense_layers", head.dense_layers)
    return Head(
        pool="avg" if is_too_large else pool,
        bins=bins,
        dense=tuple([ask(f"dense{number}", head.dense_width) for number in range(1, layers + 1)]),
        dropout=ask("dropout", head.dropout),
    )


class _Plan(NamedTuple):
    """What was drawn for a branch."""

    operation: str
    kernel: int | str
    shape: str
    dilation: int
    fields: tuple[tuple[str, Any], ...]
    repeat: int
    narrow: int
    channels: int
    is_dense: bool


@lru_cache(maxsize=2**16)
def _built(plan: _Plan, before: FeatureMap) -> Branch:
    """Return the branch that a plan comes to behind a map; remembered, for most plans come back."""
    inputs, size = before
    chain: list[Operation] = []
    if 1 <= plan.narrow < min(plan.channels, inputs):
        chain.append(operations.create("conv", channels=plan.narrow, kernel=1))
        inputs = inputs + plan.narrow if plan.is_dense else plan.narrow
    steps = _shaped(fields.kernel_sides(plan.kernel, len(size)), plan.shape)
    room = MAX_OPERATIONS - len(chain)
    for kernel in steps * min(plan.repeat, max(1, room // len(steps))):
        operation = _operation(plan, kernel, inputs, size)
        chain.append(operation)
        inputs = inputs + operation.channels if plan.is_dense else operation.channels
    if chain[-1].channels != plan.channels:
        chain = [*chain[: MAX_OPERATIONS - 1], operations.create("conv", channels=plan.channels, kernel=1)]
    return fit_branch(Branch(tuple(chain)), "sampled branch", "", before.channels, size, dense=plan.is_dense)


def _operation(plan: _Plan, kernel: tuple[int, ...], inputs: int, size: tuple[int, ...]) -> Operation:
    kind, known = operations.get(plan.operation), operations.options(plan.operation)
    channels = inputs if kind.keeps_channels else plan.channels
    values = {**dict(plan.fields), "kernel": kernel, "dilation": plan.dilation}
    wanted = {name: value for name, value in values.items() if name in known or name in kind.searched}
    return kind.drawn(channels, wanted).fitted(inputs, size).repaired(inputs, size).fitted(inputs, size)


def _has_one_place(branches: tuple[Branch, ...]) -> bool:
    """Whether norm and activation inside the branches and behind them are the same."""
    first = branches[0].operations
    return len(branches) == 1 and len(first) == 1 and not first[0].has_inside


def _layout(stage: StageRange, ask: Ask) -> tuple[str, tuple[BranchRange, ...]]:
    layout = ask("layout", stage.layout)
    if layout != FREE:
        return layout, stage.layouts[layout]
    return layout, (stage.branch,) * ask("branches", stage.branches)


def _fusion(stage: StageRange, ask: Ask, branches: int) -> tuple[str, bool]:
    """Draw how branches are brought together, and whether they share the stage's width."""
    if branches == 1:
        return "concat", True
    fusion = ask("fusion", stage.fusion)
    if fusion == "concat_project":
        return fusion, ask("branch_width", stage.branch_width) == "split"
    return fusion, fusion == "concat"


def _fitting_connection(connection: str, is_first: bool) -> str:
    return "residual" if connection == "across" and is_first else connection


def _fitting_downsample(downsample: str, size: tuple[int, ...], smallest_map: int, dense: bool) -> str:
    if min(size) // 2 < smallest_map:
        return "none"
    return "max" if downsample == "stride" and dense else downsample


def _fitting_self_attention(ratio: int | str, size: tuple[int, ...]) -> int | None:
    if isinstance(ratio, str) or math.prod(size) > LARGEST_ATTENDED:
        return None
    return ratio


_text = attrgetter("text")
_BRANCH_NAMES = tuple(f"branch{number}" for number in range(1, MAX_BRANCHES + 1))


def _branches(
    ranges: tuple[BranchRange, ...], ask: Ask, before: FeatureMap, width: int, splits: bool, dense: bool
) -> tuple[Branch, ...]:
    channels = [width] * len(ranges)
    if splits and len(ranges) > 1:
        channels = _split([branch.values["share"] for branch in ranges], ask, width)
    branches = [
        _remembered(branch, ask, before, count, dense)
        if branch.is_fixed and not ask.asks_all
        else _drawn(branch, ask.below(name), before, count, dense)
        for name, branch, count in zip(_BRANCH_NAMES, ranges, channels, strict=False)
    ]
    # In the canonical order, which the stage need not bring about again.
    return tuple(sorted(branches, key=_text)) if len(branches) > 1 else tuple(branches)


@lru_cache(maxsize=4096)
def _width(value: int | str, before: int) -> int:
    if isinstance(value, int):
        return value
    return min(MAX_WIDTH, _whole_channels(before * fields.factor(value)))


def _split(shares: list[tuple[int, ...]], ask: Ask, width: int) -> list[int]:
    """Channels of each branch: the shares of a width, which is rounded to what the shares divide."""
    drawn = [
        share[0] if len(share) == 1 and not ask.asks_all else ask(f"branch{number}.share", share)
        for number, share in enumerate(shares, start=1)
    ]
    unit = _whole_channels(width / sum(drawn))
    return [share * unit for share in drawn]


def _whole_channels(channels: float) -> int:
    """Round to a multiple of 4 (2 below 8), which leaves room for groups."""
    step = 4 if channels >= 8 else 2
    return max(step, step * round(channels / step))


def _shaped(kernel: tuple[int, ...], shape: str) -> list[tuple[int, ...]]:
    """Part a kernel: a column has its first axis, a row the others."""
    column, row = (kernel[0], *(1,) * (len(kernel) - 1)), (1, *kernel[1:])
    return {"square": [kernel], "column": [column], "row": [row], "column_row": [column, row]}[shape]
