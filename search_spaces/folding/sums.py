"""Convolutions of one input that are added, and the input itself, become one convolution."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from search_spaces.folding.kernel import Kernel, identity, kernel_of, scaled, summed, summed_size
from search_spaces.folding.norms import factors
from search_spaces.folding.trained_graph import Part, TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add, WeightedSum


class Reading(NamedTuple):
    """One summand as a kernel over some map."""

    source: str
    kernel: Kernel
    # Of its layer, 0 for one that multiplies nothing.
    weights: int


def merge_sums(trained: TrainedGraph, *, always: bool) -> TrainedGraph:
    """Merge summands, two by two (Ding et al. 2021, "RepVGG", arXiv:2101.03697).

    Args:
        trained: The network, its weighted sums already through `norms.fold_factors`.
        always: Whether to merge even where one convolution takes more MACs than the two.
    """

    def rule(graph: TrainedGraph, name: str) -> TrainedGraph | None:
        changed, merged = None, _merged_at(graph, name, always=always)
        while merged is not None:
            changed, merged = merged, _merged_at(merged, name, always=always)
        return changed

    return everywhere(trained, rule)


def _merged_at(trained: TrainedGraph, name: str, *, always: bool) -> TrainedGraph | None:
    part = trained.parts[name]
    if not isinstance(part.layer, Add | WeightedSum):
        return None
    for pair in combinations(range(len(part.inputs)), 2):
        first, second = (_readings(trained, part.inputs[index]) for index in pair)
        for readings in product(tuple(first), tuple(second)):
            if _are_alike(readings) and (always or _is_cheaper(readings)):
                return _merged(trained, name, pair, readings)
    return None


def _readings(trained: TrainedGraph, name: str) -> Iterator[Reading]:
    """Yield what a summand can be taken for: a kernel over its own input, or the identity over itself."""
    kernel = kernel_of(trained, name)
    if kernel is not None and trained.uses[name] == 1:
        part = trained.parts[name]
        weights = kernel.weight.size if isinstance(part.layer, Convolution) else 0
        yield Reading(part.inputs[0], kernel, weights)
    if len(trained.shapes[name]) > 1:
        yield Reading(name, identity(trained.shapes[name]), 0)


def _are_alike(readings: tuple[Reading, Reading]) -> bool:
    first, second = readings
    is_same = first.source == second.source and first.kernel.stride == second.kernel.stride
    return is_same and bool(first.weights or second.weights)


def _is_cheaper(readings: tuple[Reading, Reading]) -> bool:
    # All make maps of one size, so that weights compare as MACs do.
    return summed_size([reading.kernel for reading in readings]) <= sum(r.weights for r in readings)


def _merged(
    trained: TrainedGraph, name: str, pair: tuple[int, int], readings: tuple[Reading, Reading]
) -> TrainedGraph:
    part, shares = trained.parts[name], factors(trained.parts[name])
    kernel = summed([_times(r.kernel, shares[index]) for index, r in zip(pair, readings, strict=True)])
    order = {other: place for place, other in enumerate(trained.parts)}
    convolutions = [index for index, r in zip(pair, readings, strict=True) if r.weights]
    kept = max(convolutions, key=lambda index: order[part.inputs[index]])
    (gone,) = set(pair) - {kept}
    changed = trained.with_part(part.inputs[kept], kernel.part(readings[0].source))
    shares[kept] = 1
    inputs = part.inputs[:gone] + part.inputs[gone + 1 :]
    state = {"weight": np.delete(shares, gone)} if isinstance(part.layer, WeightedSum) else {}
    layer = replace(part.layer, weighting="free") if isinstance(part.layer, WeightedSum) else part.layer
    return changed.with_part(name, Part(layer, inputs, state))


def _times(kernel: Kernel, factor: float) -> Kernel:
    return scaled(kernel, np.full(kernel.outputs, factor), np.zeros(kernel.outputs))
