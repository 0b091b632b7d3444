"""Convolutions of one input that are concatenated become one."""

from dataclasses import replace

from search_spaces.folding.kernel import Kernel, kernel_of, stacked
from search_spaces.folding.trained_graph import TrainedGraph, everywhere
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Concat


def merge_concats(trained: TrainedGraph) -> TrainedGraph:
    """Stack the filters of neighbours in a concatenation that read one input by one stride.

    Grouped ones become dense and small kernels as large as the largest, so that MACs may grow
    (Ding et al. 2021, "Diverse Branch Block", arXiv:2103.13425, transform IV).
    """

    def rule(graph: TrainedGraph, name: str) -> TrainedGraph | None:
        changed, merged = None, _merged_at(graph, name)
        while merged is not None:
            changed, merged = merged, _merged_at(merged, name)
        return changed

    return everywhere(trained, rule)


def _merged_at(trained: TrainedGraph, name: str) -> TrainedGraph | None:
    part = trained.parts[name]
    if not isinstance(part.layer, Concat):
        return None
    order = {other: place for place, other in enumerate(trained.parts)}
    for index in range(len(part.inputs) - 1):
        pair = part.inputs[index : index + 2]
        first, second = (_read_once(trained, source) for source in pair)
        if first is None or second is None or first.stride != second.stride:
            continue
        (source,) = trained.parts[pair[0]].inputs
        if trained.parts[pair[1]].inputs != (source,):
            continue
        kept = max(pair, key=lambda other: order[other])
        changed = trained.with_part(kept, stacked([first, second]).part(source))
        inputs = (*part.inputs[:index], kept, *part.inputs[index + 2 :])
        return changed.with_part(name, replace(part, inputs=inputs))
    return None


def _read_once(trained: TrainedGraph, name: str) -> Kernel | None:
    part = trained.parts.get(name)
    is_own = part is not None and isinstance(part.layer, Convolution) and trained.uses[name] == 1
    return kernel_of(trained, name) if is_own else None
