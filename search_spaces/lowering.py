"""From an architecture to its graph."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from search_spaces.architecture import Architecture, Head, Stage
from search_spaces.branch_lowering import Style, branch_piece, lower_branch, running_order
from search_spaces.graph import INPUT, Graph, GraphBuilder
from search_spaces.layers.attention import AttendedSum, AttentionScores, SelectiveSum, SqueezeExcitation
from search_spaces.layers.convolution import pointwise
from search_spaces.layers.layer import Layer, Shape
from search_spaces.layers.merging import Add, Concat, WeightedSum
from search_spaces.layers.normalisation import norm_layer
from search_spaces.layers.pointwise import Dropout, activation_layer
from search_spaces.layers.rearranging import Slice
from search_spaces.layers.reduction import AdaptivePool, Flatten, GlobalPool, Linear, Pool
from search_spaces.stage import GROWING

# Selective kernels narrow to this part of the channels, but not below so many (Li et al. 2019, equation 4).
SELECTIVE_RATIO = 8
SELECTIVE_LEAST = 8
_CONCAT, _ADD, _SUBSAMPLE = Concat(), Add(), Pool("max", 1, 2)
_SUMS: dict[str, Layer] = {
    "add": _ADD,
    "weighted": WeightedSum("softmax"),
    "weighted_free": WeightedSum("free"),
    "weighted_sigmoid": WeightedSum("sigmoid"),
}
_JOINS: dict[str, Layer] = {"residual": _ADD, "across": _ADD, "weighted": WeightedSum("free")}
_POOLS = {name: Pool(name) for name in ("max", "avg")}


@lru_cache(maxsize=2**12)
def interned(kind: type[Layer], *values: Any) -> Layer:
    """Return the one object of a layer, by which its figures are found fastest."""
    return kind(*values)


class Place(NamedTuple):
    """A stage and the node before it."""

    node: int
    stage: Stage


class Builder(GraphBuilder):
    """Collects the layers of whole stages."""

    start = INPUT

    def branches(self, name: str, stage: Stage, node: int) -> list[int]:
        """Add a stage's branches, run in the order that needs least memory; return their last nodes."""
        style, shape = style_of(stage), self.shape(node)
        maps = [node] * len(stage.branches)
        counting = counting_style(stage)
        for index in running_order([branch_piece(branch, counting, shape) for branch in stage.branches]):
            label = f"{name}.branch{index + 1}"
            maps[index] = lower_branch(self, label, stage.branches[index], style, node)
        return maps


def lower(architecture: Architecture) -> Graph:
    """Return the graph of an architecture."""
    builder = Builder(architecture.input_shape)
    node = lower_stages(builder, architecture.stages)
    lower_head(builder, architecture.head, architecture.classes, node)
    return builder.graph()


def style_of(stage: Stage) -> Style:
    """Return what the branches of a stage take from it."""
    strides = stage.downsample == "stride"
    return Style(strides, stage.norm, stage.activation, stage.branch_activation, stage.is_dense)


def counting_style(stage: Stage) -> Style:
    """Return the style as far as it counts: an activation costs the same whatever it is called.

    Where branches are linear the norm stands behind them, so stages of all norms share their figures.
    """
    norm = "none" if stage.is_linear else stage.norm
    return _style(stage.downsample, norm, stage.branch_activation, stage.connection)


@lru_cache(maxsize=256)
def _style(downsample: str, norm: str, branch_activation: bool, connection: str) -> Style:
    return Style(downsample == "stride", norm, "relu", branch_activation, connection in GROWING)


def lower_stages(builder: Builder, stages: Iterable[Stage]) -> int:
    """Add stages one behind the other, however many, and return the last node."""
    node, before = builder.start, None
    for number, stage in enumerate(stages, start=1):
        after = lower_stage(builder, f"stage{number}", stage, node, before)
        node, before = after, Place(node, stage)
    return node


def lower_stage(builder: Builder, name: str, stage: Stage, start: int, before: Place | None) -> int:
    """Add one stage behind a node; `before` is the stage in front of it, for connections across both."""
    node = _fuse(builder, name, stage, builder.branches(name, stage, start), start)
    if stage.pools_first:
        node = builder.add(f"{name}.pool", _POOLS[stage.downsample], node)
    if stage.normalises_behind:
        node = _normed(builder, f"{name}.norm", stage.norm, node)
    if stage.attention:
        node = builder.add(f"{name}.attention", interned(SqueezeExcitation, stage.attention), node)
    if stage.is_dense:
        node = _put_beside(builder, name, stage, node, start)
    else:
        node = _joined(builder, name, stage, node, start, before)
    if stage.pools_last:
        node = builder.add(f"{name}.pool", _POOLS[stage.downsample], node)
    if stage.self_attention:
        node = _attended(builder, f"{name}.self_attention", stage.self_attention, node)
    return builder.add(f"{name}.dropout", interned(Dropout, stage.dropout), node) if stage.dropout else node


def lower_head(builder: Builder, head: Head, classes: int, node: int) -> None:
    """Add the head behind a node."""
    layer: Layer = interned(Flatten) if head.pool == "flatten" else interned(GlobalPool, head.pool)
    if head.bins > 1:
        layer = interned(AdaptivePool, head.pool, head.bins)
    node = builder.add("head.pool", layer, node)
    for number, width in enumerate(head.dense, start=1):
        node = builder.add(f"head.dense{number}", interned(Linear, width), node)
        node = builder.add(f"head.activation{number}", activation_layer("relu"), node)
        node = (
            builder.add(f"head.dropout{number}", interned(Dropout, head.dropout), node)
            if head.dropout
            else node
        )
    if head.dropout and not head.dense:
        node = builder.add("head.dropout", interned(Dropout, head.dropout), node)
    builder.add("head.logits", interned(Linear, classes), node)


def _fuse(builder: Builder, name: str, stage: Stage, maps: list[int], start: int) -> int:
    if len(maps) == 1:
        return maps[0]
    # Beside a dense map stands the input; the branches bring the rest.
    width = stage.channels - (builder.channels(start) if stage.is_dense else 0)
    if stage.fusion in ("concat", "concat_project"):
        node = builder.add(f"{name}.concat", _CONCAT, *maps)
        return node if stage.fusion == "concat" else _projected(builder, f"{name}.project", width, node)
    equal = [
        _projected(builder, f"{name}.branch{number}.project", width, node)
        if builder.channels(node) != width
        else node
        for number, node in enumerate(maps, start=1)
    ]
    if stage.fusion == "selective":
        return _selected(builder, f"{name}.selective", width, equal)
    return builder.add(f"{name}.{stage.fusion}", _SUMS[stage.fusion], *equal)


def _selected(builder: Builder, name: str, width: int, maps: list[int]) -> int:
    """Let the sum of all maps decide how much of each goes on (Li et al. 2019, arXiv:1903.06586)."""
    node = builder.add(f"{name}.pool", interned(GlobalPool, "avg"), builder.add(f"{name}.sum", _ADD, *maps))
    narrow = max(width // SELECTIVE_RATIO, SELECTIVE_LEAST)
    node = builder.add(f"{name}.narrow", interned(Linear, narrow), node)
    node = builder.add(f"{name}.activation", activation_layer("relu"), node)
    logits = builder.add(f"{name}.logits", interned(Linear, len(maps) * width), node)
    return builder.add(f"{name}.choice", interned(SelectiveSum), *maps, logits)


def _joined(builder: Builder, name: str, stage: Stage, node: int, start: int, before: Place | None) -> int:
    """Add the shortcut, if any, and activate."""
    if stage.connection != "none":
        if stage.connection == "across" and before is not None:
            shortcut = _across(builder, f"{name}.shortcut", stage, before)
        else:
            shortcut = _shortcut(builder, f"{name}.shortcut", stage, start)
        label = "weighted_residual" if stage.connection == "weighted" else "residual"
        node = builder.add(f"{name}.{label}", _JOINS[stage.connection], node, shortcut)
    elif not stage.normalises_behind:
        return node
    return builder.add(f"{name}.activation", activation_layer(stage.activation), node)


def _shortcut(builder: Builder, name: str, stage: Stage, node: int) -> int:
    """Bring the stage's input to the shape of its output: pooled alike, 1x1 where channels differ."""
    strides = stage.downsample == "stride"
    if stage.pools_first:
        node = builder.add(f"{name}.pool", _POOLS[stage.downsample], node)
    if strides or builder.channels(node) != stage.channels:
        node = _projected(builder, f"{name}.project", stage.channels, node, stride=2 if strides else 1)
        node = _normed(builder, f"{name}.norm", stage.norm, node)
    return node


def _across(builder: Builder, name: str, stage: Stage, before: Place) -> int:
    """Bring the input of the stage before to this stage's shape, shrunk as both stages shrink it."""
    node = _shrunk(builder, f"{name}.first", before.stage.downsample, before.node)
    if not stage.pools_last:
        node = _shrunk(builder, f"{name}.second", stage.downsample, node)
    if builder.channels(node) != stage.channels:
        node = _projected(builder, f"{name}.project", stage.channels, node)
        node = _normed(builder, f"{name}.norm", stage.norm, node)
    return node


def _shrunk(builder: Builder, name: str, downsample: str, node: int) -> int:
    if downsample == "none":
        return node
    return builder.add(name, _SUBSAMPLE if downsample == "stride" else _POOLS[downsample], node)


def _put_beside(builder: Builder, name: str, stage: Stage, node: int, start: int) -> int:
    """Activate, then put the input beside the map (Huang et al. 2017, arXiv:1608.06993).

    With dual paths the first half of the map carries a residual besides (Chen et al. 2017, arXiv:1707.01629).
    """
    beside = start
    if stage.pools_first:
        beside = builder.add(f"{name}.shortcut.pool", _POOLS[stage.downsample], start)
    if stage.connection == "dual_path":
        node = _half_added(builder, name, stage, node, beside)
    if stage.normalises_behind or stage.connection == "dual_path":
        node = builder.add(f"{name}.activation", activation_layer(stage.activation), node)
    return builder.add(f"{name}.{stage.connection}", _CONCAT, beside, node)


def _half_added(builder: Builder, name: str, stage: Stage, node: int, beside: int) -> int:
    width = builder.channels(node)
    half = width // 2
    first = builder.add(f"{name}.residual_half", interned(Slice, 0, half), node)
    second = builder.add(f"{name}.dense_half", interned(Slice, half, width), node)
    shortcut = beside
    if builder.channels(beside) != half:
        shortcut = _projected(builder, f"{name}.shortcut.project", half, beside)
        shortcut = _normed(builder, f"{name}.shortcut.norm", stage.norm, shortcut)
    added = builder.add(f"{name}.residual", _ADD, first, shortcut)
    return builder.add(f"{name}.halves", _CONCAT, added, second)


def _attended(builder: Builder, name: str, ratio: int, node: int) -> int:
    """Let each position gather from all others (Zhang et al. 2019, arXiv:1805.08318)."""
    channels = builder.channels(node)
    narrow = max(1, channels // ratio)
    query = _projected(builder, f"{name}.query", narrow, node)
    key = _projected(builder, f"{name}.key", narrow, node)
    scores = builder.add(f"{name}.scores", interned(AttentionScores), query, key)
    value = _projected(builder, f"{name}.value", channels, node)
    return builder.add(f"{name}.sum", interned(AttendedSum), node, value, scores)


def _normed(builder: Builder, name: str, norm: str, node: int) -> int:
    layer = norm_layer(norm, builder.channels(node))
    return builder.add(name, layer, node) if layer else node


def _projected(builder: Builder, name: str, channels: int, node: int, stride: int = 1) -> int:
    return builder.add(name, pointwise(channels, _axes(builder.shape(node)), stride), node)


def _axes(shape: Shape) -> int:
    return len(shape) - 1
