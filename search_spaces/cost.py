"""Exact cost of an architecture from its description alone, without torch."""

from dataclasses import dataclass
from math import prod

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph, Node, lower
from search_spaces.layers.layer import FLOAT_BYTES, Shape


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What one output sees of the input along each axis, over all paths from map to map.

    A gate's means over the whole map do not count.
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
    # None behind a layer that sees the whole map.
    receptive_field: ReceptiveField | None


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network on one example.

    One MAC is one multiply and one add; bias, normalisation, activation and pooling count as zero.
    `model_bytes` are the parameters and the floating-point buffers in fp32. `peak_activation_bytes` is the
    largest sum of fp32 maps alive at once in execution order, where an element-wise layer writes over its
    input if nothing else reads it.
    """

    params: int
    buffers: int
    macs: int
    model_bytes: int
    peak_activation_bytes: int
    # Of the last map before the head.
    receptive_field: ReceptiveField
    layers: tuple[LayerCost, ...]

    def metrics(self) -> dict[str, int]:
        """Return the figures that studies can optimise or limit, by metric name."""
        return {
            "params": self.params,
            "macs": self.macs,
            "model_bytes": self.model_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
        }


def analyse(architecture: Architecture) -> Cost:
    """Return the exact cost of an architecture on one example."""
    return graph_cost(lower(architecture))


def graph_cost(graph: Graph) -> Cost:
    """Return the exact cost of a graph on one example."""
    seen = _receptive_fields(graph)
    layers = tuple(_layer_cost(node, seen.get(index)) for index, node in enumerate(graph.nodes))
    params = sum([layer.params for layer in layers])
    buffers = sum([layer.buffers for layer in layers])
    counters = sum([layer.kind == "batch_norm" for layer in layers])
    return Cost(
        params=params,
        buffers=buffers,
        macs=sum([layer.macs for layer in layers]),
        model_bytes=FLOAT_BYTES * (params + buffers - counters),
        peak_activation_bytes=FLOAT_BYTES * _peak_elements(graph),
        receptive_field=next(layer.receptive_field for layer in reversed(layers) if layer.receptive_field),
        layers=layers,
    )


def _layer_cost(node: Node, seen: "_Seen | None") -> LayerCost:
    layer, inputs = node.layer, node.input_shapes
    return LayerCost(
        name=node.name,
        kind=layer.kind,
        output_shape=node.shape,
        params=sum(map(prod, layer.parameter_shapes(inputs).values())),
        buffers=layer.buffers(inputs),
        macs=layer.macs(inputs, node.shape),
        receptive_field=seen[0] if seen else None,
    )


# The receptive field of a map, and the distance in the input between two neighbours of it, an axis each.
_Seen = tuple[ReceptiveField, tuple[int, ...]]


def _receptive_fields(graph: Graph) -> dict[int, _Seen]:
    """Carry the receptive field through all maps: a window of extent k adds (k - 1) steps."""
    axes = len(graph.input_shape) - 1
    one = (1,) * axes
    seen: dict[int, _Seen] = {INPUT: (ReceptiveField(one, one), one)}
    for index, node in enumerate(graph.nodes):
        if len(node.shape) != axes + 1:
            break
        field, step = _union([seen[source] for source in node.inputs])
        window = node.layer.window(axes)
        seen[index] = (field, step) if window is None else _widened(field, step, window)
    return seen


def _union(sources: list[_Seen]) -> _Seen:
    if len(sources) == 1:
        return sources[0]
    step = sources[0][1]
    smallest = tuple(map(min, *(source.smallest for source, _ in sources)))
    largest = tuple(map(max, *(source.largest for source, _ in sources)))
    return ReceptiveField(smallest, largest), step


def _widened(field: ReceptiveField, step: tuple[int, ...], window: tuple[tuple[int, int], ...]) -> _Seen:
    smallest, largest, steps = [], [], []
    for axis, (extent, stride) in enumerate(window):
        more = (extent - 1) * step[axis]
        smallest.append(field.smallest[axis] + more)
        largest.append(field.largest[axis] + more)
        steps.append(stride * step[axis])
    return ReceptiveField(tuple(smallest), tuple(largest)), tuple(steps)


def _peak_elements(graph: Graph) -> int:
    # The input stands at the end, where the index INPUT finds it.
    sizes = [*[prod(node.shape) for node in graph.nodes], prod(graph.input_shape)]
    input_last = max([index for index, node in enumerate(graph.nodes) if INPUT in node.inputs])
    last = [*graph.last_uses(), input_last]
    peak = alive = sizes[INPUT]
    for index, node in enumerate(graph.nodes):
        first, size = node.inputs[0], sizes[index]
        dying = [source for source in set(node.inputs) if last[source] == index]
        # The caller's input is never written over, nor a map that is read again.
        writes_over = node.layer.in_place and first != INPUT and last[first] == index
        alive += size
        peak = max(peak, alive - size if writes_over else alive)
        for source in dying:
            alive -= sizes[source]
    return peak
