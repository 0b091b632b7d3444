"""Exact cost of an architecture from its description alone, without torch."""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from search_spaces.architecture import Architecture, Stage
from search_spaces.branch_lowering import branch_piece, running_order
from search_spaces.graph import INPUT, Graph, Node
from search_spaces.layers.layer import Counts, Layer, Shape, figures, remembered_figures, summed
from search_spaces.lowering import Builder, counting_style, lower, lower_head, lower_stages
from search_spaces.walks import Seen, Step, peak_elements, seen_behind, widened


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What one output sees of the input along each axis, over all paths from map to map.

    What gates and self-attention gather from the whole map does not count.
    """

    smallest: tuple[int, ...]
    largest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost of one node of the graph."""

    name: str
    kind: str
    # (channels, *spatial) of one example.
    output_shape: Shape
    params: int
    buffers: int
    macs: int
    elementwise: int
    # None behind a layer that sees the whole map.
    receptive_field: ReceptiveField | None


@dataclass(frozen=True)
class Cost:
    """The cost of a network on one example.

    One MAC is one multiply and one add of a convolution, a dense layer or an attention product; norms,
    activations, sums, gates and pooling are counted apart, as element-wise operations. `model_bytes` are the
    parameters and the floating-point buffers in fp32; in `model_bytes_int8` each matrix takes a byte an entry
    and a scale of four for each output channel. `peak_activation_bytes` is the largest sum of fp32 maps alive
    at once in execution order, where an element-wise layer writes over its input if nothing else reads it.
    """

    params: int
    buffers: int
    macs: int
    elementwise: int
    model_bytes: int
    model_bytes_int8: int
    peak_activation_bytes: int
    # Of the last map before the head.
    receptive_field: ReceptiveField
    _architecture: Architecture = field(compare=False, repr=False)

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        """The cost of each layer in execution order; computed when first asked for."""
        return layer_costs(lower(self._architecture))

    def metrics(self) -> dict[str, int]:
        """Return the figures that studies can optimise or limit, by metric name."""
        return {
            "params": self.params,
            "macs": self.macs,
            "model_bytes": self.model_bytes,
            "model_bytes_int8": self.model_bytes_int8,
            "peak_activation_bytes": self.peak_activation_bytes,
        }


def analyse(architecture: Architecture) -> Cost:
    """Return the exact cost of an architecture on one example."""
    tally = Tally(architecture.input_shape)
    last = lower_stages(tally, architecture.stages)
    seen = tally.seen[last]
    assert seen is not None
    lower_head(tally, architecture.head, architecture.classes, last)
    return Cost(
        **tally.counts()._asdict(),
        peak_activation_bytes=4 * tally.peak(),
        receptive_field=ReceptiveField(seen.smallest, seen.largest),
        _architecture=architecture,
    )


class Tally(Builder):
    """A builder that adds up figures instead of collecting layers.

    Nodes are positions in lists, 0 the network's input; a branch is one position, whose figures come from
    `branch_piece`.
    """

    start = 0

    def __init__(self, input_shape: Shape) -> None:
        one = (1,) * (len(input_shape) - 1)
        self.shapes: list[Shape] = [input_shape]
        self.seen: list[Seen | None] = [Seen(one, one, one)]
        self.steps: list[Step] = []
        self._parts: list[Counts] = []

    def add(self, name: str, layer: Layer, *inputs: int) -> int:
        shapes, seen = self.shapes, self.seen
        part = remembered_figures(layer, tuple([shapes[node] for node in inputs]))
        if not layer.gives_map:
            seen.append(None)
        elif len(inputs) == 1 and part.window is None:
            seen.append(seen[inputs[0]])
        else:
            seen.append(seen_behind([seen[node] for node in inputs], part.window))
        self._parts.append(part.counts)
        self.steps.append((inputs, part.elements, layer.in_place, None))
        shapes.append(part.shape)
        return len(shapes) - 1

    def branches(self, name: str, stage: Stage, node: int) -> list[int]:
        style, shape, seen = counting_style(stage), self.shapes[node], self.seen[node]
        pieces = [branch_piece(branch, style, shape) for branch in stage.branches]
        maps = [node] * len(pieces)
        assert seen is not None
        for index in running_order(pieces):
            piece = pieces[index]
            if not piece.has_layers:
                continue
            self._parts.append(piece.counts)
            self.steps.append(((node,), piece.size, False, piece.inside))
            self.seen.append(seen if piece.window is None else widened(seen, piece.window))
            self.shapes.append(piece.shape)
            maps[index] = len(self.shapes) - 1
        return maps

    def shape(self, node: int) -> Shape:
        return self.shapes[node]

    def channels(self, node: int) -> int:
        return self.shapes[node][0]

    def counts(self) -> Counts:
        """Return the sum of all counts so far."""
        return summed(self._parts)

    def peak(self) -> int:
        """Return the largest number of elements alive at once."""
        return peak_elements(prod(self.shapes[0]), self.steps)


def layer_costs(graph: Graph) -> tuple[LayerCost, ...]:
    """Return the cost of each node of a graph."""
    one = (1,) * (len(graph.input_shape) - 1)
    seen: dict[int, Seen | None] = {INPUT: Seen(one, one, one)}
    costs = []
    for index, node in enumerate(graph.nodes):
        seen[index] = _seen_through(node, seen)
        costs.append(_layer_cost(node, seen[index]))
    return tuple(costs)


def graph_peak_bytes(graph: Graph) -> int:
    """Return the peak activation bytes of a graph on one example, from its layers one by one."""
    steps: list[Step] = [
        (tuple([source + 1 for source in node.inputs]), prod(node.shape), node.layer.in_place, None)
        for node in graph.nodes
    ]
    return 4 * peak_elements(prod(graph.input_shape), steps)


def _seen_through(node: Node, seen: dict[int, Seen | None]) -> Seen | None:
    if not node.layer.gives_map:
        return None
    return seen_behind([seen[other] for other in node.inputs], figures(node.layer, node.input_shapes).window)


def _layer_cost(node: Node, seen: Seen | None) -> LayerCost:
    counts = figures(node.layer, node.input_shapes).counts
    return LayerCost(
        name=node.name,
        kind=node.layer.kind,
        output_shape=node.shape,
        params=counts.params,
        buffers=counts.buffers,
        macs=counts.macs,
        elementwise=counts.elementwise,
        receptive_field=ReceptiveField(seen.smallest, seen.largest) if seen else None,
    )
