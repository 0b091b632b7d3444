"""Convolutions in series become one, where that is exact at the borders too."""

from math import gcd, prod

import numpy as np

from search_spaces.folding.kernel import Kernel, expanded, kernel_of
from search_spaces.folding.trained_graph import Array, TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution


def merge_series(trained: TrainedGraph, *, always: bool) -> TrainedGraph:
    """Merge each convolution with the one it alone reads, nothing between them.

    Ding et al. 2021, "Diverse Branch Block", arXiv:2103.13425, transform III; a kx1 kernel and a 1xk one too.

    Args:
        trained: The network.
        always: Whether to merge even where one convolution takes more MACs than the two.
    """
    return everywhere(trained, lambda graph, name: _merged_at(graph, name, always=always))


def in_series(first: Kernel, second: Kernel) -> Kernel:
    """Return the kernel of two in series; see `is_exact`."""
    groups = gcd(first.groups, second.groups)
    rows, inner = second.outputs // groups, first.outputs // first.groups
    parts, narrow = first.groups // groups, first.weight.shape[1]
    ahead = first.weight.reshape(groups, parts, inner, narrow * prod(first.taps))
    behind = expanded(second, groups).weight.reshape(groups, rows, parts, inner, prod(second.taps))
    product = behind.transpose(0, 2, 1, 4, 3).reshape(groups, parts, -1, inner) @ ahead
    weight = _interleaved(product.reshape(groups, parts, rows, *second.taps, narrow, *first.taps))
    sides = zip(first.taps, second.taps, first.dilations, second.dilations, strict=True)
    dilations = tuple(
        near if ahead_taps > 1 else far * first.stride if behind_taps > 1 else 1
        for ahead_taps, behind_taps, near, far in sides
    )
    return Kernel(weight, _bias(first, second), first.stride * second.stride, groups, dilations)


def is_exact(first: Kernel, second: Kernel) -> bool:
    """Whether the border between two, which is padded by zeros, makes no difference.

    Along each axis only one of them sees neighbours, and what the first adds reaches no padding.
    """
    if first.bias is not None and max(second.taps) > 1:
        return False
    return all(1 in pair for pair in zip(first.taps, second.taps, strict=True))


def _merged_at(trained: TrainedGraph, name: str, *, always: bool) -> TrainedGraph | None:
    second = kernel_of(trained, name)
    source = trained.parts[name].inputs[0]
    first = kernel_of(trained, source)
    if first is None or second is None or trained.uses[source] > 1 or not is_exact(first, second):
        return None
    macs = [_macs(trained, source), _macs(trained, name)]
    if not any(macs) or not (always or _macs_in_series(trained, name, first, second) <= sum(macs)):
        return None
    return trained.with_part(name, in_series(first, second).part(trained.parts[source].inputs[0]))


def _macs(trained: TrainedGraph, name: str) -> int:
    part = trained.parts[name]
    # Subsampling, which counts as a kernel here, multiplies nothing.
    return (
        prod(trained.shapes[name][1:]) * part.state["weight"].size
        if isinstance(part.layer, Convolution)
        else 0
    )


def _macs_in_series(trained: TrainedGraph, name: str, first: Kernel, second: Kernel) -> int:
    weights = second.outputs * first.inputs // gcd(first.groups, second.groups)
    return prod(trained.shapes[name][1:]) * weights * prod(first.taps) * prod(second.taps)


def _interleaved(product: Array) -> Array:
    """Turn (groups, parts, rows, *second, narrow, *first) to (channels out, channels in, *taps)."""
    groups, parts, rows = product.shape[:3]
    axes = (product.ndim - 4) // 2
    pairs = [axis for index in range(axes) for axis in (3 + index, 4 + axes + index)]
    turned = product.transpose(0, 2, 1, 3 + axes, *pairs)
    narrow = product.shape[3 + axes]
    taps = tuple(product.shape[3 + index] * product.shape[4 + axes + index] for index in range(axes))
    return turned.reshape(groups * rows, parts * narrow, *taps)


def _bias(first: Kernel, second: Kernel) -> Array | None:
    if first.bias is None:
        return second.bias
    rows = second.weight.reshape(second.groups, second.outputs // second.groups, -1)
    bias: Array = np.matmul(rows, first.bias.reshape(second.groups, -1, 1)).reshape(-1)
    return bias if second.bias is None else bias + second.bias
