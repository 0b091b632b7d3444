"""Graphs made by hand with random weights, and what torch makes of them in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from search_spaces.folding.trained_graph import TrainedGraph
from search_spaces.graph import INPUT, GraphBuilder
from search_spaces.layers.layer import Layer
from search_spaces.modules.network import Network

# Name, layer and the names of what it reads; "input" is the network's.
Line = tuple[str, Layer, list[str]]
MakeTrained = Callable[..., TrainedGraph]
AssertSame = Callable[[TrainedGraph, TrainedGraph], None]


@pytest.fixture
def make_trained() -> MakeTrained:
    """Return a factory of trained graphs from an input shape and lines."""

    def make(input_shape: tuple[int, ...], *lines: Line, seed: int = 0) -> TrainedGraph:
        builder, places = GraphBuilder(input_shape), {"input": INPUT}
        for name, layer, inputs in lines:
            places[name] = builder.add(name, layer, *(places[other] for other in inputs))
        generator = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            entries = Network(builder.graph()).state_dict()
        state = {}
        for name, value in entries.items():
            drawn = generator.normal(size=tuple(value.shape))
            state[name] = np.exp(drawn) if name.endswith("running_var") else drawn
        return TrainedGraph.of(builder.graph(), state)

    return make


@pytest.fixture
def assert_same() -> AssertSame:
    """Return a check that two trained graphs compute the same, to float64's precision."""

    def check(before: TrainedGraph, after: TrainedGraph) -> None:
        generator = torch.Generator().manual_seed(0)
        examples = torch.randn((2, *before.input_shape), generator=generator, dtype=torch.float64)
        expected, found = _run(before, examples), _run(after, examples)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)

    return check


@torch.no_grad()
def _run(trained: TrainedGraph, examples: torch.Tensor) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        network = Network(trained.graph()).double().eval()
    state = {
        f"{name}.{key}": torch.tensor(value)
        for name, part in trained.parts.items()
        for key, value in part.state.items()
    }
    network.load_state_dict(state)
    output: torch.Tensor = network(examples)
    return output
