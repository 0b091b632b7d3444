"""All rewrites, one after the other until nothing changes."""

from collections.abc import Callable, Mapping
from functools import partial

from search_spaces.folding.concats import merge_concats
from search_spaces.folding.groups import expand_groups, regroup
from search_spaces.folding.norms import fold_factors, fold_norms
from search_spaces.folding.rearranging import absorb_shuffles, drop_identities
from search_spaces.folding.series import merge_series
from search_spaces.folding.sums import merge_sums
from search_spaces.folding.trained_graph import Array, TrainedGraph
from search_spaces.graph import Graph

MERGES = ("cheaper", "always", "never")
Rewrite = Callable[[TrainedGraph], TrainedGraph]


def fold_graph(
    graph: Graph,
    state: Mapping[str, Array],
    *,
    merge: str = "cheaper",
    concat: bool = False,
    dense: bool = False,
) -> tuple[Graph, dict[str, Array]]:
    """Return a graph, and its state in float32, that compute the same logits at inference with fewer layers.

    Batch norms, dropout and shuffles beside dense convolutions go in any case.

    Args:
        graph: What to fold.
        state: Weights and buffers by the names of the torch module's state dict; computed with in float64.
        merge: Which convolutions in series, and summands, become one: "cheaper" those that then take no more
            MACs, "always" all that can exactly, "never" none.
        concat: Whether convolutions of one input that are concatenated become one.
        dense: Whether grouped convolutions become dense ones with zeros; otherwise block-diagonal dense ones
            become grouped.

    Raises:
        ValueError: `merge` is unknown, or the state lacks an entry; the message names it.
    """
    if merge not in MERGES:
        raise ValueError(f"merge {merge!r} is none of {', '.join(MERGES)}")
    rewrites: list[Rewrite] = [drop_identities, absorb_shuffles, fold_factors, fold_norms]
    if merge != "never":
        always = merge == "always"
        rewrites += [partial(merge_series, always=always), partial(merge_sums, always=always)]
    if concat:
        rewrites.append(merge_concats)
    trained = _settled(TrainedGraph.of(graph, state), rewrites)
    if merge == "always":
        # Last, for a dense neighbour takes a shuffle at no cost.
        trained = _settled(trained, [*rewrites, partial(absorb_shuffles, expand=True)])
    # Beside dense kernels further merges may be no dearer.
    trained = _settled(expand_groups(trained), rewrites) if dense else regroup(trained)
    return trained.graph(), trained.state()


def _settled(trained: TrainedGraph, rewrites: list[Rewrite]) -> TrainedGraph:
    before = None
    while trained is not before:
        before = trained
        for rewrite in rewrites:
            trained = rewrite(trained)
    return trained
