"""From a range to one stage: ask what has an effect, then repair what does not fit.

Choices are repaired after they are drawn, never shortened before: Optuna wants the same choices under
the same name in every trial.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from search_spaces import fields, operations
from search_spaces.architecture import MAX_OPERATIONS, Branch, Head, Stage, size_after
from search_spaces.operations import Operation
from search_spaces.random_trial import Suggests
from search_spaces.ranges import FREE, BranchRange, HeadRange, StageRange

MAX_WIDTH = 1024
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks a trial for choices whose names start with `prefix`."""

    trial: Suggests
    prefix: str = ""

    def __call__(self, name: str, choices: tuple[Value, ...]) -> Value:
        """Return the only choice unasked, else what the trial suggests."""
        if len(choices) == 1:
            return choices[0]
        return cast(Value, self.trial.suggest_categorical(self.prefix + name, cast(Any, choices)))

    def below(self, name: str) -> "Ask":
        return Ask(self.trial, f"{self.prefix}{name}.")


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """What flows between two stages: channels and spatial size."""

    channels: int
    size: tuple[int, ...]


def sample_stage(
    stage: StageRange, ask: Ask, before: FeatureMap, tied: Mapping[str, Any], smallest_map: int
) -> Stage:
    """Draw one stage that can stand behind `before`."""

    def own(name: str) -> Any:
        return tied[name] if name in stage.tied else ask(name, getattr(stage, name))

    layout, ranges = _layout(stage, ask)
    width = _width(ask("width", stage.width), before.channels)
    fusion, splits = _fusion(stage, ask, len(ranges))
    inner = ask if layout == FREE else ask.below(layout)
    branches = _branches(ranges, inner, before, width, splits)
    is_single = len(branches) == 1 and len(branches[0].operations) == 1
    attention = own("attention")
    return Stage(
        branches=branches,
        fusion=fusion,
        channels=sum(branch.channels for branch in branches) if splits else width,
        connection=own("connection"),
        attention=None if attention == "none" else attention,
        norm=own("norm"),
        activation=own("activation"),
        branch_activation=False if is_single else ask("branch_activation", stage.branch_activation),
        downsample=own("downsample") if min(before.size) // 2 >= smallest_map else "none",
        pool_position=own("pool_position"),
    )


def after(stage: Stage, before: FeatureMap) -> FeatureMap:
    """Return what flows out of a stage."""
    return FeatureMap(stage.channels, size_after(stage, before.size))


def sample_branch(branch: BranchRange, ask: Ask, before: FeatureMap, channels: int) -> Branch:
    """Draw one branch from `before` to `channels` channels."""
    name = ask("operation", branch.operation)
    kernels, dilation = _kernels(branch, ask, name, before.size)
    repeat = ask("repeat", branch.repeat)
    narrow = channels // ask("bottleneck", branch.bottleneck)
    chain: list[Operation] = []
    inputs = before.channels
    if 1 <= narrow < min(channels, inputs):
        chain.append(operations.create("conv", channels=narrow, kernel=1))
        inputs = narrow
    can_group = "groups" in operations.options(name) and math.gcd(inputs, channels) > 1
    level = ask("groups", branch.groups) if can_group else 1
    for kernel in kernels * min(repeat, (MAX_OPERATIONS - len(chain)) // len(kernels)):
        groups = repaired_groups(level, inputs, channels)
        chain.append(_operation(name, channels, kernel=kernel, dilation=dilation, groups=groups))
        inputs = channels
    return Branch(tuple(chain))


def sample_head(head: HeadRange, ask: Ask, before: FeatureMap) -> Head:
    """Draw the head that stands behind the last map."""
    pool = ask("pool", head.pool)
    is_too_large = pool == "flatten" and math.prod(before.size) > head.largest_flatten
    layers = ask("dense_layers", head.dense_layers)
    return Head(
        pool="avg" if is_too_large else pool,
        dense=tuple(ask(f"dense{number}", head.dense_width) for number in range(1, layers + 1)),
        dropout=ask("dropout", head.dropout),
    )


def repaired_groups(level: int, inputs: int, outputs: int) -> int:
    """Return the largest group count up to `level` that divides both channel counts.

    Example:
        >>> repaired_groups(8, 12, 32)
        4
    """
    common = math.gcd(inputs, outputs)
    return next(groups for groups in range(min(level, common), 0, -1) if common % groups == 0)


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


def _branches(
    ranges: tuple[BranchRange, ...], ask: Ask, before: FeatureMap, width: int, splits: bool
) -> tuple[Branch, ...]:
    channels = [width] * len(ranges)
    if splits and len(ranges) > 1:
        channels = _split([branch.share for branch in ranges], ask, width)
    return tuple(
        sample_branch(branch, ask.below(f"branch{number}"), before, count)
        for number, (branch, count) in enumerate(zip(ranges, channels, strict=True), start=1)
    )


def _width(value: int | str, before: int) -> int:
    if isinstance(value, int):
        return value
    return min(MAX_WIDTH, _whole_channels(before * fields.factor(value)))


def _split(shares: list[tuple[int, ...]], ask: Ask, width: int) -> list[int]:
    """Channels of each branch: the shares of a width, which is rounded to what the shares divide."""
    drawn = [ask(f"branch{number}.share", share) for number, share in enumerate(shares, start=1)]
    unit = _whole_channels(width / sum(drawn))
    return [share * unit for share in drawn]


def _whole_channels(channels: float) -> int:
    """Round to a multiple of 4 (2 below 8), which leaves room for groups."""
    step = 4 if channels >= 8 else 2
    return max(step, step * round(channels / step))


def _kernels(
    branch: BranchRange, ask: Ask, operation: str, size: tuple[int, ...]
) -> tuple[list[tuple[int, ...]], int]:
    """Draw the kernels of the operations in series, and their dilation."""
    level = ask("kernel", branch.kernel) if "kernel" in operations.options(operation) else 1
    if max(_fitted(level, 1, size)) == 1:
        return [_fitted(level, 1, size)], 1
    shape = ask("shape", branch.shape) if len(size) == 2 else "square"
    dilation = 1
    if "dilation" in operations.options(operation):
        dilation = _fitted_dilation(level, ask("dilation", branch.dilation), size)
    return _shaped(_fitted(level, dilation, size), shape), dilation


def _fitted(kernel: int, dilation: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """Clip a kernel, axis by axis, so that no tap sees nothing but padding."""
    return tuple(min(kernel, 2 * ((side - 1) // dilation) + 1) for side in size)


def _fitted_dilation(kernel: int, dilation: int, size: tuple[int, ...]) -> int:
    return max(1, min(dilation, (min(size) - 1) // max(1, (kernel - 1) // 2)))


def _shaped(kernel: tuple[int, ...], shape: str) -> list[tuple[int, ...]]:
    if shape == "square":
        return [kernel]
    sides: dict[str, list[tuple[int, ...]]] = {
        "column": [(kernel[0], 1)],
        "row": [(1, kernel[1])],
        "column_row": [(kernel[0], 1), (1, kernel[1])],
    }
    return sides[shape]


def _operation(name: str, channels: int, **wanted: Any) -> Operation:
    """Create an operation with those of the wanted fields that it has."""
    known = operations.options(name)
    values = {key: value for key, value in wanted.items() if key in known}
    return operations.create(name, channels=channels, **values)
