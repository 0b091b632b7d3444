"""The network as it will run on a device: folded, with weights that stand in for trained ones.

Latency depends on layers and shapes alone, so it can be measured, remembered and predicted before training.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture
from search_spaces.folding import fold_graph
from search_spaces.graph import Graph
from search_spaces.lowering import lower
from search_spaces.onnx_model import graph_to_onnx, random_state


@dataclass(frozen=True)
class DeployedNetwork:
    """A folded graph and its stand-in weights."""

    graph: Graph
    state: Mapping[str, NDArray[np.float32]] = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """Return the sha256 of all layers and how they are wired; names and weights do not count.

        Architectures that fold to the same network have equal hashes, and so one latency.
        """
        wiring = [(node.layer, node.inputs) for node in self.graph.nodes]
        return hashlib.sha256(repr((self.graph.input_shape, wiring)).encode()).hexdigest()

    def to_onnx(self) -> bytes:
        """Return the network as an ONNX file, as `search_spaces.onnx_model.to_onnx` does."""
        return graph_to_onnx(self.graph, self.state)


def deployed(architecture: Architecture, *, seed: int = 0) -> DeployedNetwork:
    """Return the folded network of an architecture; about 3 ms.

    Args:
        architecture: What will be deployed.
        seed: Of the stand-in weights.
    """
    graph = lower(architecture)
    return DeployedNetwork(*fold_graph(graph, _used_state(graph, seed)))


def _used_state(graph: Graph, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return a state as training leaves it: no norm is the identity, no bias zero, so none folds away."""
    generator = np.random.default_rng(seed)
    state = random_state(graph, seed)
    for name, value in state.items():
        if name.endswith((".running_mean", ".bias")):
            state[name] = (0.1 * generator.standard_normal(value.shape)).astype(np.float32)
        elif value.ndim == 1:
            state[name] = (value + 0.1 * generator.random(value.shape)).astype(np.float32)
    return state
