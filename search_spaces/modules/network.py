"""From an architecture to a torch module."""

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph
from search_spaces.lowering import lower
from search_spaces.modules.initialisation import initialise


def build(
    architecture: Architecture, *, seed: int | None = None, initialisation: str = "he_normal"
) -> "Network":
    """Return the module of an architecture: (B, C, *S) floats to (B, classes) logits.

    Args:
        architecture: What to build.
        seed: Seeds the initial weights without touching torch's global generator; None draws a fresh seed.
        initialisation: A name in `initialisation.INITIALISATIONS`.
    """
    # The layers' own first weights are thrown away; drawing them must not move the global generator.
    with torch.random.fork_rng(devices=[]):
        network = Network(lower(architecture))
    initialise(network, seed, initialisation)
    return network


class Network(nn.Module):
    """Runs the layers of a graph in order and lets go of each map after its last reader.

    A parameter's name in the state dict is the name of its node and of the parameter, for instance
    "stage1.branch2.conv1.weight".
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        steps = []
        last = graph.last_uses()
        for index, node in enumerate(graph.nodes):
            module = node.layer.module(node.input_shapes)
            _place(self, node.name.split("."), module)
            done = tuple({source for source in node.inputs if source != INPUT and last[source] == index})
            steps.append((module, node.inputs, done))
        # A plain tuple: the modules are registered under their own names above.
        self._steps = tuple(steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) for examples (B, C, *S)."""
        maps: dict[int, torch.Tensor] = {INPUT: x}
        for index, (module, inputs, done) in enumerate(self._steps):
            maps[index] = module(*(maps[source] for source in inputs))
            for source in done:
                del maps[source]
        return maps[len(self._steps) - 1]


class Group(nn.Module):
    """A named part of a network; it only holds its children."""


def _place(root: nn.Module, path: list[str], module: nn.Module) -> None:
    for name in path[:-1]:
        child = getattr(root, name, None)
        if child is None:
            child = Group()
            root.add_module(name, child)
        root = child
    root.add_module(path[-1], module)
