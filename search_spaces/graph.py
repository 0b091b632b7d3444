"""The graph of primitive layers that an architecture stands for; all else is computed from it."""

from dataclasses import dataclass

from search_spaces.layers.layer import Layer, Shape, figures
from search_spaces.layers.normalisation import norm_layer
from search_spaces.layers.pointwise import activation_layer

# The index that stands for the network's input.
INPUT = -1


@dataclass(frozen=True, slots=True)
class Node:
    """One layer and where its inputs come from, by index; `INPUT` is the network's input."""

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    # (channels, *spatial) of one example.
    shape: Shape


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in execution order; the last node's output are the logits."""

    input_shape: Shape
    nodes: tuple[Node, ...]

    def last_uses(self) -> list[int]:
        """Return for each node the index of the last node that reads it (its own where none does)."""
        last = list(range(len(self.nodes)))
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                if source != INPUT:
                    last[source] = index
        return last


class GraphBuilder:
    """Collects layers in execution order."""

    def __init__(self, input_shape: Shape) -> None:
        self.nodes: list[Node] = []
        self._input_shape = input_shape

    def add(self, name: str, layer: Layer, *inputs: int) -> int:
        """Append a layer behind the given nodes and return its index."""
        shapes = tuple([self.shape(node) for node in inputs])
        self.nodes.append(Node(name, layer, inputs, shapes, figures(layer, shapes).shape))
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        """Return the shape that comes out of a node."""
        return self._input_shape if node == INPUT else self.nodes[node].shape

    def channels(self, node: int) -> int:
        """Return the channels that come out of a node."""
        return self.shape(node)[0]

    def graph(self) -> Graph:
        """Return what was collected."""
        return Graph(self._input_shape, tuple(self.nodes))


@dataclass(frozen=True, slots=True)
class InsideBranch:
    """A builder as operations see it: it knows how their stage normalises and activates.

    Args:
        builder: Where layers go.
        norm: The stage's norm.
        activation: The stage's activation.
        is_active: Whether the stage normalises and activates inside its branches.
    """

    builder: GraphBuilder
    norm: str
    activation: str
    is_active: bool

    def add(self, name: str, layer: Layer, *inputs: int) -> int:
        return self.builder.add(name, layer, *inputs)

    def shape(self, node: int) -> Shape:
        return self.builder.shape(node)

    def channels(self, node: int) -> int:
        return self.builder.channels(node)

    def activate(self, name: str, node: int, *, always: bool = False) -> int:
        if not (self.is_active or always):
            return node
        node = self._normed(f"{name}_norm", node)
        return self.builder.add(f"{name}_activation", activation_layer(self.activation), node)

    def normalise(self, name: str, node: int) -> int:
        return self._normed(f"{name}_norm", node) if self.is_active else node

    def _normed(self, name: str, node: int) -> int:
        layer = norm_layer(self.norm, self.builder.channels(node))
        return self.builder.add(name, layer, node) if layer else node
