"""Grouped convolutions become dense ones, and back."""

from dataclasses import replace
from math import gcd

import numpy as np

from search_spaces.folding.kernel import Kernel, expanded, kernel_of
from search_spaces.folding.trained_graph import Array, TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution


def expand_groups(trained: TrainedGraph) -> TrainedGraph:
    """Write each grouped convolution as a dense one with zeros, which some runtimes run faster."""
    return everywhere(trained, _expanded_at)


def regroup(trained: TrainedGraph) -> TrainedGraph:
    """Write each dense convolution whose weight is block diagonal in as many groups as it has blocks."""
    return everywhere(trained, _regrouped_at)


def grouped(kernel: Kernel) -> Kernel:
    """Return a dense kernel in the most groups that its zeros allow."""
    # (channels out, channels in): whether any tap is used.
    used: Array = np.any(kernel.weight.reshape(kernel.outputs, kernel.inputs, -1), axis=-1)
    common = gcd(kernel.outputs, kernel.inputs) if used.any() else 1
    counts = (count for count in range(common, 0, -1) if common % count == 0)
    return next(_in_groups(kernel, count) for count in counts if _is_block_diagonal(used, count))


def _is_block_diagonal(used: Array, groups: int) -> bool:
    outputs, inputs = used.shape
    blocks: Array = np.any(used.reshape(groups, outputs // groups, groups, inputs // groups), axis=(1, 3))
    return not np.any(blocks[~np.eye(groups, dtype=bool)])


def _in_groups(kernel: Kernel, groups: int) -> Kernel:
    rows, width = kernel.outputs // groups, kernel.inputs // groups
    blocks = [
        kernel.weight[index * rows : (index + 1) * rows, index * width : (index + 1) * width]
        for index in range(groups)
    ]
    return replace(kernel, weight=np.concatenate(blocks), groups=groups)


def _expanded_at(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part, kernel = trained.parts[name], kernel_of(trained, name)
    if not isinstance(part.layer, Convolution) or kernel is None or kernel.groups == 1:
        return None
    return trained.with_part(name, expanded(kernel).part(part.inputs[0]))


def _regrouped_at(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part, kernel = trained.parts[name], kernel_of(trained, name)
    if not isinstance(part.layer, Convolution) or kernel is None or kernel.groups > 1:
        return None
    changed = grouped(kernel)
    return trained.with_part(name, changed.part(part.inputs[0])) if changed.groups > 1 else None
