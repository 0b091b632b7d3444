"""Batch norms and the weights of sums go into the convolutions before them."""

from itertools import accumulate, pairwise

import numpy as np

from search_spaces.folding.kernel import is_subsampling, kernel_of, scaled
from search_spaces.folding.rearranging import order_of
from search_spaces.folding.trained_graph import Array, Part, TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Add, Concat, WeightedSum
from search_spaces.layers.normalisation import EPSILON, BatchNorm, GroupNorm
from search_spaces.layers.rearranging import Shuffle, Slice
from search_spaces.layers.reduction import Pool


def fold_norms(trained: TrainedGraph) -> TrainedGraph:
    """Fold each batch norm into what alone makes its input.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2. It goes on through sums, concatenations,
    rearranged channels and average pooling, and through maximum pooling where no scale is negative. Where one
    way ends at anything else, the norm stays.
    """
    return everywhere(trained, _without_norm)


def fold_factors(trained: TrainedGraph) -> TrainedGraph:
    """Fold the weights of each weighted sum into its summands; where all take theirs, a plain sum remains."""
    return everywhere(trained, _without_factors)


def factors(part: Part) -> Array:
    """Return what a sum multiplies each of its inputs by."""
    if not isinstance(part.layer, WeightedSum):
        return np.ones(len(part.inputs))
    weight = part.state["weight"].astype(np.float64)
    if part.layer.weighting == "softmax":
        powers = np.exp(weight - weight.max())
        return np.asarray(powers / powers.sum())
    return 1 / (1 + np.exp(-weight)) if part.layer.weighting == "sigmoid" else weight


def absorbed(trained: TrainedGraph, name: str, scale: Array, shift: Array) -> TrainedGraph | None:
    """Return the graph with an affine map of each channel put into a layer; None where that is impossible.

    Only one layer may read what changes.
    """
    part = trained.parts.get(name)
    if part is None or trained.uses[name] > 1:
        return None
    match part.layer:
        case Convolution():
            kernel = kernel_of(trained, name)
            assert kernel is not None
            return trained.with_part(name, scaled(kernel, scale, shift).part(part.inputs[0]))
        case BatchNorm() | GroupNorm():
            state = {"weight": part.state["weight"] * scale, "bias": part.state["bias"] * scale + shift}
            return trained.with_part(name, Part(part.layer, part.inputs, {**part.state, **state}))
        case Pool(function=function):
            if function == "max" and scale.min() < 0 and not is_subsampling(part, trained.shapes[name]):
                return None
            return absorbed(trained, part.inputs[0], scale, shift)
        case Shuffle():
            # Output channel c is input channel order[c].
            back = np.argsort(order_of(part.layer, len(scale)))
            return absorbed(trained, part.inputs[0], scale[back], shift[back])
        case Slice(start=start, stop=stop):
            wide_scale = np.ones(trained.shapes[part.inputs[0]][0])
            wide_shift = np.zeros_like(wide_scale)
            wide_scale[start:stop], wide_shift[start:stop] = scale, shift
            return absorbed(trained, part.inputs[0], wide_scale, wide_shift)
        case Concat():
            widths = [trained.shapes[source][0] for source in part.inputs]
            bounds = pairwise(accumulate(widths, initial=0))
            return _all_absorbed(trained, part, [(scale[a:b], shift[a:b]) for a, b in bounds])
        case Add():
            rest = [(scale, np.zeros_like(shift))] * (len(part.inputs) - 1)
            return _all_absorbed(trained, part, [(scale, shift), *rest])
        case _:
            return None


def _all_absorbed(trained: TrainedGraph, part: Part, maps: list[tuple[Array, Array]]) -> TrainedGraph | None:
    changed: TrainedGraph | None = trained
    for source, (scale, shift) in zip(part.inputs, maps, strict=True):
        changed = None if changed is None else absorbed(changed, source, scale, shift)
    return changed


def _without_norm(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part = trained.parts[name]
    if not isinstance(part.layer, BatchNorm):
        return None
    scale = part.state["weight"] / np.sqrt(part.state["running_var"] + EPSILON)
    shift = part.state["bias"] - part.state["running_mean"] * scale
    changed = absorbed(trained, part.inputs[0], scale, shift)
    return None if changed is None else changed.without(name)


def _without_factors(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part = trained.parts[name]
    if not isinstance(part.layer, WeightedSum):
        return None
    shares, changed = factors(part), trained
    for index, source in enumerate(part.inputs):
        channels = trained.shapes[source][0]
        scale = np.full(channels, shares[index])
        taken = None if shares[index] == 1 else absorbed(changed, source, scale, np.zeros(channels))
        if taken is not None:
            changed, shares[index] = taken, 1
    if (shares == 1).all():
        return changed.with_part(name, Part(Add(), part.inputs, {}))
    if changed is trained:
        return None
    return changed.with_part(name, Part(WeightedSum("free"), part.inputs, {"weight": shares}))
