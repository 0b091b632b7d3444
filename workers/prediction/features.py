"""What the latency of a network is made of: its layers by operator class, each with a few amounts of work.

A class is what runtimes have a kernel for: a 1x1 convolution is a plain matrix product, a depthwise one is
bound by memory, one of thin groups is a matrix product a group on copied rows. The amounts are of the kind
that a roofline is drawn with: how often a layer is called, what it multiplies, what it moves. All add up.
"""

from functools import lru_cache
from math import ceil, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import INPUT, Graph
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Layer, Shape, figures
from workers.prediction.layout import BLOCK, layout

# "narrow" reads less than a block of channels, "grouped" has groups of less than a block.
CONVOLUTIONS = ("narrow", "pointwise", "dense", "grouped", "depthwise")
# Blocks of filters that share what a kernel has read.
SETS = 4
CONVOLUTION_AMOUNTS = (
    "calls",
    "macs",
    # With vectors filled up; the same without taps that fall on padding, which some kernels skip.
    "padded_macs",
    "inside_macs",
    # Elements that are brought to the multipliers: of a window, once for each four blocks of filters.
    "columns",
    # Calls of the innermost kernel, or copies of rows: one for each row of the output and what it is made of.
    "rows",
    # The part of the padded MACs in output positions next to a border, which are computed singly.
    "border_macs",
    # Elements read and written, weights, matrix products.
    "moved",
    "weights",
    "products",
)
OTHERS = (
    "linear",
    "relu",
    "smooth_activation",
    "max_pool",
    "avg_pool",
    "plain_max_pool",
    "plain_avg_pool",
    "layout_change",
    "global_pool",
    "concat",
    "add",
    "gate",
    "rearrangement",
    "norm",
    "attention",
    "deformable",
    "flatten",
    "other",
)
# Calls, MACs and element-wise operations, elements read and written.
OTHER_AMOUNTS = ("calls", "work", "moved")
NAMES = (
    *(f"{name}.{amount}" for name in CONVOLUTIONS for amount in CONVOLUTION_AMOUNTS),
    *(f"{name}.{amount}" for name in OTHERS for amount in OTHER_AMOUNTS),
)
_COLUMN = {name: column for column, name in enumerate(NAMES)}
_CLASS_OF_KIND = {
    "linear": "linear",
    "global_pool": "global_pool",
    "adaptive_pool": "global_pool",
    "concat": "concat",
    "add": "add",
    "weighted_sum": "add",
    "squeeze_excitation": "gate",
    "selective_sum": "gate",
    "shuffle": "rearrangement",
    "slice": "rearrangement",
    "batch_norm": "norm",
    "group_norm": "norm",
    "attention_scores": "attention",
    "attended_sum": "attention",
    "deformable_convolution": "deformable",
    "flatten": "flatten",
    "dropout": "flatten",
}


def features(graph: Graph) -> NDArray[np.float64]:
    """Return the amounts of work of a network, summed over layers, in the order of `NAMES`."""
    amounts = np.zeros(len(NAMES))
    maps = layout(graph)
    for node, is_blocked in zip(graph.nodes, maps.is_blocked, strict=True):
        columns, values = _amounts(node.layer, node.input_shapes, is_blocked)
        amounts[columns] += values
    changed = [graph.input_shape if index == INPUT else graph.nodes[index].shape for index in maps.copied]
    amounts[_COLUMN["layout_change.calls"]] = len(changed)
    amounts[_COLUMN["layout_change.moved"]] = 2 * sum(map(prod, changed))
    return amounts


def operator_class(layer: Layer, inputs: tuple[Shape, ...], *, is_blocked: bool = False) -> str:
    """Return which of `CONVOLUTIONS` or `OTHERS` a layer is."""
    if isinstance(layer, Convolution):
        return _convolution_class(layer, inputs[0][0])
    function = getattr(layer, "function", "")
    if layer.kind == "activation":
        return "relu" if function in ("relu", "leaky_relu") else "smooth_activation"
    if layer.kind == "pool":
        return f"{function}_pool" if is_blocked else f"plain_{function}_pool"
    return _CLASS_OF_KIND.get(layer.kind, "other")


def _convolution_class(layer: Convolution, channels: int) -> str:
    inward, outward = channels // layer.groups, layer.channels // layer.groups
    if layer.groups > 1 and inward == outward == 1:
        return "depthwise"
    if layer.groups > 1 and (inward % BLOCK or outward % BLOCK):
        return "grouped"
    if inward < BLOCK:
        return "narrow"
    return "pointwise" if prod(layer.kernel) == 1 else "dense"


@lru_cache(maxsize=2**16)
def _amounts(
    layer: Layer, inputs: tuple[Shape, ...], is_blocked: bool
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the columns that a layer adds to, and how much."""
    name = operator_class(layer, inputs, is_blocked=is_blocked)
    known = figures(layer, inputs)
    moved = known.elements + sum(map(prod, inputs))
    if isinstance(layer, Convolution):
        values = _convolution_amounts(layer, inputs[0], known.shape, moved)
    else:
        values = (1, known.counts.macs + known.counts.elementwise, moved)
    first = _COLUMN[f"{name}.calls"]
    return np.arange(first, first + len(values)), np.array(values, dtype=np.float64)


def _convolution_amounts(layer: Convolution, read: Shape, written: Shape, moved: int) -> tuple[float, ...]:
    positions, taps, groups = prod(written[1:]), prod(layer.kernel), layer.groups
    inward, outward = read[0] // groups, layer.channels // groups
    ends = min(written[-1], 2 * layer.padding[-1])
    rows = positions // written[-1]
    work = _Work.of(_convolution_class(layer, read[0]), positions, inward, outward, groups)
    return (
        1,
        positions * taps * inward * layer.channels,
        positions * taps * work.products,
        _taps_inside(layer, read, written) * work.products,
        work.positions * taps * work.columns,
        rows * work.calls * (taps if work.is_copied else 1),
        rows * ends * taps * work.products,
        moved,
        taps * inward * layer.channels,
        groups,
    )


class _Work(NamedTuple):
    """What one position costs a convolution."""

    # Positions, filled up where vectors run along them.
    positions: int
    # Products of one tap.
    products: int
    # Elements of one tap that are brought to the multipliers.
    columns: int
    # Calls of the innermost kernel a row; of a copied input, for each tap.
    calls: int
    is_copied: bool = False

    @classmethod
    def of(cls, name: str, positions: int, inward: int, outward: int, groups: int) -> "_Work":
        """Return the work of a convolution of some class with so many channels in and out of a group."""
        if name == "grouped":
            copied = groups * inward
            return cls(_padded(positions), copied * outward, copied, copied, is_copied=True)
        if name == "depthwise":
            return cls(positions, _padded(groups), groups, _blocks(groups))
        sets = ceil(outward / (SETS * BLOCK)) * groups
        filled = inward if name == "narrow" else _padded(inward)
        return cls(positions, filled * _padded(outward) * groups, filled * sets, _blocks(inward) * sets)


def _taps_inside(layer: Convolution, read: Shape, written: Shape) -> int:
    """Return how many of all outputs' taps fall on the map; those on its padding are skipped."""
    axes = zip(read[1:], written[1:], layer.kernel, layer.dilations, layer.padding, strict=True)
    return prod(
        sum(
            0 <= output * layer.stride + tap * dilation - padding < side
            for output in range(outputs)
            for tap in range(kernel)
        )
        for side, outputs, kernel, dilation, padding in axes
    )


def _blocks(channels: int) -> int:
    return ceil(channels / BLOCK)


def _padded(count: int) -> int:
    return BLOCK * _blocks(count)
