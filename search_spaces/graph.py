"""From an architecture to the graph of primitive layers that all else is computed from."""

from dataclasses import dataclass

from search_spaces.architecture import Architecture, Branch, Head, Stage
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Layer, Shape
from search_spaces.layers.merging import Add, Concat, SqueezeExcitation, WeightedSum
from search_spaces.layers.pointwise import Activation, BatchNorm, Dropout
from search_spaces.layers.reduction import Flatten, GlobalPool, Linear, Pool

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


def lower(architecture: Architecture) -> Graph:
    """Return the graph of an architecture."""
    builder = _Builder(architecture.input_shape)
    node = INPUT
    for number, stage in enumerate(architecture.stages, start=1):
        node = _lower_stage(builder, f"stage{number}", stage, node)
    _lower_head(builder, architecture.head, architecture.classes, node)
    return Graph(architecture.input_shape, tuple(builder.nodes))


class _Builder:
    def __init__(self, input_shape: Shape) -> None:
        self.nodes: list[Node] = []
        self._input_shape = input_shape

    def add(self, name: str, layer: Layer, *inputs: int) -> int:
        shapes = tuple(self.shape(node) for node in inputs)
        self.nodes.append(Node(name, layer, inputs, shapes, layer.output_shape(shapes)))
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        return self._input_shape if node == INPUT else self.nodes[node].shape

    def channels(self, node: int) -> int:
        return self.shape(node)[0]


def _lower_stage(graph: _Builder, name: str, stage: Stage, before: int) -> int:
    maps = [
        _lower_branch(graph, f"{name}.branch{number}", branch, stage, before)
        for number, branch in enumerate(stage.branches, start=1)
    ]
    node = _fuse(graph, name, stage, maps)
    pools = stage.downsample in ("max", "avg")
    if pools and stage.pool_position == "before_norm":
        node = graph.add(f"{name}.pool", Pool(stage.downsample), node)
    normalises = not stage.branch_activation or stage.fusion == "concat_project"
    if normalises and stage.norm == "batch":
        node = graph.add(f"{name}.norm", BatchNorm(), node)
    if stage.attention:
        node = graph.add(f"{name}.attention", SqueezeExcitation(stage.attention), node)
    if stage.connection == "residual":
        node = graph.add(f"{name}.residual", Add(), node, _shortcut(graph, name, stage, before))
    if normalises or stage.connection == "residual":
        node = graph.add(f"{name}.activation", Activation(stage.activation), node)
    if pools and stage.pool_position == "after_activation":
        node = graph.add(f"{name}.pool", Pool(stage.downsample), node)
    return node


def _lower_branch(graph: _Builder, name: str, branch: Branch, stage: Stage, node: int) -> int:
    for number, operation in enumerate(branch.operations, start=1):
        stride = 2 if stage.downsample == "stride" and number == 1 else 1
        label = f"{name}.{operation.kind}{number}"
        node = operation.lower(graph, label, node, stride)
        if stage.branch_activation:
            if stage.norm == "batch":
                node = graph.add(f"{name}.norm{number}", BatchNorm(), node)
            node = graph.add(f"{name}.activation{number}", Activation(stage.activation), node)
    return node


def _fuse(graph: _Builder, name: str, stage: Stage, maps: list[int]) -> int:
    if len(maps) == 1:
        return maps[0]
    if stage.fusion in ("concat", "concat_project"):
        node = graph.add(f"{name}.concat", Concat(), *maps)
        return node if stage.fusion == "concat" else _project(graph, f"{name}.project", stage.channels, node)
    equal = [
        node
        if graph.channels(node) == stage.channels
        else _project(graph, f"{name}.branch{number}.project", stage.channels, node)
        for number, node in enumerate(maps, start=1)
    ]
    return graph.add(f"{name}.{stage.fusion}", Add() if stage.fusion == "add" else WeightedSum(), *equal)


def _shortcut(graph: _Builder, name: str, stage: Stage, node: int) -> int:
    """Bring the stage's input to the shape of its output: pooled alike, 1x1 where channels differ."""
    strides = stage.downsample == "stride"
    if stage.downsample in ("max", "avg") and stage.pool_position == "before_norm":
        node = graph.add(f"{name}.shortcut.pool", Pool(stage.downsample), node)
    if strides or graph.channels(node) != stage.channels:
        node = _project(graph, f"{name}.shortcut.project", stage.channels, node, stride=2 if strides else 1)
        if stage.norm == "batch":
            node = graph.add(f"{name}.shortcut.norm", BatchNorm(), node)
    return node


def _project(graph: _Builder, name: str, channels: int, node: int, stride: int = 1) -> int:
    axes = len(graph.shape(node)) - 1
    return graph.add(name, Convolution(channels, (1,) * axes, stride), node)


def _lower_head(graph: _Builder, head: Head, classes: int, node: int) -> None:
    layer = Flatten() if head.pool == "flatten" else GlobalPool(head.pool)
    node = graph.add("head.pool", layer, node)
    for number, width in enumerate(head.dense, start=1):
        node = graph.add(f"head.dense{number}", Linear(width), node)
        node = graph.add(f"head.activation{number}", Activation("relu"), node)
        node = graph.add(f"head.dropout{number}", Dropout(head.dropout), node) if head.dropout else node
    if head.dropout and not head.dense:
        node = graph.add("head.dropout", Dropout(head.dropout), node)
    graph.add("head.logits", Linear(classes), node)
