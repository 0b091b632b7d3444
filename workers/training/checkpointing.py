"""Gradient checkpointing: the maps inside a stage are computed again for the backward pass.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from search_spaces.graph import INPUT, Graph
from search_spaces.modules import Network


class Checkpointed:
    """Calls a network and keeps only the maps between its stages; results and statistics stay equal."""

    def __init__(self, network: nn.Module, generator: torch.Generator | None = None) -> None:
        """Find the network's stages; raises `ValueError` if it was not built from an architecture.

        Args:
            network: What to call.
            generator: That dropout draws from; the global one without it.
        """
        if not isinstance(network, Network):
            raise ValueError("checkpointing needs a network that was built from an architecture")
        self._graph = network.graph
        self._modules = [network.get_submodule(node.name) for node in network.graph.nodes]
        self._segments = _segments(network.graph)
        self._generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) for examples (B, C, *S)."""
        maps = {INPUT: x}
        for segment in self._segments:
            outputs = checkpoint(
                self._run,
                segment,
                *(maps[source] for source in segment.inputs),
                use_reentrant=False,
                preserve_rng_state=self._generator is None,
                context_fn=partial(self._contexts, segment),
            )
            maps |= dict(zip(segment.outputs, outputs, strict=True))
            maps = {index: kept for index, kept in maps.items() if index in segment.live}
        return maps[len(self._modules) - 1]

    def _run(self, segment: "_Segment", *inputs: Tensor) -> tuple[Tensor, ...]:
        maps = dict(zip(segment.inputs, inputs, strict=True))
        for index in segment.nodes:
            maps[index] = self._modules[index](*(maps[source] for source in self._graph.nodes[index].inputs))
        return tuple(maps[index] for index in segment.outputs)

    def _contexts(
        self, segment: "_Segment"
    ) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        modules = [part for index in segment.nodes for part in self._modules[index].modules()]
        norms = [part for part in modules if isinstance(part, _BatchNorm)]
        draws = _Draws(self._generator)
        return draws.noted(), _both(draws.repeated(), _statistics_kept(norms))


class _Draws:
    """Lets the second forward pass of a segment draw what the first has drawn."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator
        self._state: Tensor | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        self._state = self._generator.get_state() if self._generator else None
        yield

    @contextmanager
    def repeated(self) -> Iterator[None]:
        if self._generator is None or self._state is None:
            yield
            return
        later = self._generator.get_state()
        self._generator.set_state(self._state)
        try:
            yield
        finally:
            self._generator.set_state(later)


@contextmanager
def _both(*contexts: AbstractContextManager[None]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stage: its nodes, what it reads from before, what others read of it, and all that is read later."""

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    live: frozenset[int]


def _segments(graph: Graph) -> list[_Segment]:
    """Cut a graph where the first part of its nodes' names changes."""
    runs = groupby(range(len(graph.nodes)), key=lambda index: graph.nodes[index].name.partition(".")[0])
    return [_segment(graph, tuple(nodes)) for _, nodes in runs]


def _segment(graph: Graph, nodes: tuple[int, ...]) -> _Segment:
    read = {source for index in nodes for source in graph.nodes[index].inputs}
    later = {source for node in graph.nodes[nodes[-1] + 1 :] for source in node.inputs}
    live = later | {len(graph.nodes) - 1}
    return _Segment(
        nodes=nodes,
        inputs=tuple(sorted(read - set(nodes))),
        outputs=tuple(sorted(live & set(nodes))),
        live=frozenset(live),
    )


@contextmanager
def _statistics_kept(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let the second forward pass of batch norms change nothing: the first has counted the batch."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
