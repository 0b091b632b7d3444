"""Channel shuffles go into the convolutions beside them; layers that change nothing go."""

from dataclasses import replace

import numpy as np

from search_spaces.folding.kernel import expanded, is_subsampling, kernel_of
from search_spaces.folding.trained_graph import SOURCE, Array, TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add, Concat
from search_spaces.layers.pointwise import Dropout
from search_spaces.layers.rearranging import Shuffle, Slice
from search_spaces.layers.reduction import Pool


def order_of(shuffle: Shuffle, channels: int) -> Array:
    """Return which input channel each output channel of a shuffle is."""
    return np.arange(channels).reshape(shuffle.groups, -1).T.reshape(-1)


def absorb_shuffles(trained: TrainedGraph, *, expand: bool = False) -> TrainedGraph:
    """Permute filters or input channels of a convolution instead of a map.

    Args:
        trained: The network.
        expand: Whether to make grouped convolutions dense for it; otherwise only dense ones take part.
    """

    def rule(graph: TrainedGraph, name: str) -> TrainedGraph | None:
        if isinstance(graph.parts[name].layer, Shuffle):
            return _into_filters(graph, name, expand)
        return _into_channels(graph, name, expand)

    return everywhere(trained, rule)


def drop_identities(trained: TrainedGraph) -> TrainedGraph:
    """Remove what passes its input on at inference: dropout, sums of one, slices of all."""
    return everywhere(trained, _without_identity)


def _into_filters(trained: TrainedGraph, name: str, expand: bool) -> TrainedGraph | None:
    part = trained.parts[name]
    (source,) = part.inputs
    before = trained.parts.get(source)
    if before is None or not isinstance(before.layer, Convolution) or trained.uses[source] > 1:
        return None
    kernel = kernel_of(trained, source)
    if kernel is None or (kernel.groups > 1 and not expand):
        return None
    kernel = expanded(kernel)
    assert isinstance(part.layer, Shuffle)
    order = order_of(part.layer, kernel.outputs)
    bias = None if kernel.bias is None else kernel.bias[order]
    moved = replace(kernel, weight=kernel.weight[order], bias=bias)
    return trained.with_part(source, moved.part(before.inputs[0])).without(name)


def _into_channels(trained: TrainedGraph, name: str, expand: bool) -> TrainedGraph | None:
    part = trained.parts[name]
    before = trained.parts.get(part.inputs[0])
    if before is None or not isinstance(before.layer, Shuffle) or not isinstance(part.layer, Convolution):
        return None
    kernel = kernel_of(trained, name)
    if kernel is None or (kernel.groups > 1 and not expand):
        return None
    kernel = expanded(kernel)
    back = np.argsort(order_of(before.layer, kernel.inputs))
    moved = replace(kernel, weight=kernel.weight[:, back])
    return trained.with_part(name, moved.part(before.inputs[0]))


def _without_identity(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part = trained.parts[name]
    is_whole_network = name == trained.output and part.inputs == (SOURCE,)
    if len(part.inputs) > 1 or is_whole_network or not _is_identity(trained, name):
        return None
    return trained.without(name)


def _is_identity(trained: TrainedGraph, name: str) -> bool:
    part, shape = trained.parts[name], trained.shapes[name]
    match part.layer:
        case Dropout() | Add() | Concat():
            return True
        case Slice():
            return shape == trained.shapes[part.inputs[0]]
        case Shuffle(groups=groups):
            return groups in (1, shape[0])
        case Pool(stride=1):
            return is_subsampling(part, shape)
        case _:
            return False
