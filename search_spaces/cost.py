"""Exact cost of an architecture from its description alone, without torch."""

from dataclasses import dataclass
from math import prod

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph, Node, lower
from search_spaces.layers.layer import FLOAT_BYTES, Shape


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What one output sees of the input along each axis, over all paths."""

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
    graph = lower(architecture)
    fields = _receptive_fields(graph)
    layers = tuple(_layer_cost(node, field) for node, field in zip(graph.nodes, fields, strict=True))
    params = sum(layer.params for layer in layers)
    buffers = sum(layer.buffers for layer in layers)
    counters = sum(layer.kind == "batch_norm" for layer in layers)
    return Cost(
        params=params,
        buffers=buffers,
        macs=sum(layer.macs for layer in layers),
        model_bytes=FLOAT_BYTES * (params + buffers - counters),
        peak_activation_bytes=FLOAT_BYTES * _peak_elements(graph),
        receptive_field=next(layer.receptive_field for layer in reversed(layers) if layer.receptive_field),
        layers=layers,
    )


def _layer_cost(node: Node, field: "_Seen | None") -> LayerCost:
    return LayerCost(
        name=node.name,
        kind=node.layer.kind,
        output_shape=node.shape,
        params=sum(prod(shape) for shape in node.layer.parameter_shapes(node.input_shapes).values()),
        buffers=node.layer.buffers(node.input_shapes),
        macs=node.layer.macs(node.input_shapes, node.shape),
        receptive_field=ReceptiveField(field.smallest, field.largest) if field else None,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    # Distance in the input between two neighbours of the map, an axis each.
    jump: tuple[int, ...]


def _receptive_fields(graph: Graph) -> list[_Seen | None]:
    """Carry the receptive field through the graph: a window of extent k adds (k - 1) jumps."""
    axes = len(graph.input_shape) - 1
    start = _Seen((1,) * axes, (1,) * axes, (1,) * axes)
    seen: list[_Seen | None] = []
    for node in graph.nodes:
        sources = [start if source == INPUT else seen[source] for source in node.inputs]
        known = [source for source in sources if source is not None]
        is_map = len(node.shape) == axes + 1 and len(known) == len(sources)
        seen.append(_through(node, known, axes) if is_map else None)
    return seen


def _through(node: Node, sources: list[_Seen], axes: int) -> _Seen:
    smallest = tuple(min(sides) for sides in zip(*(source.smallest for source in sources), strict=True))
    largest = tuple(max(sides) for sides in zip(*(source.largest for source in sources), strict=True))
    jump, window = sources[0].jump, node.layer.window(axes)
    if window is None:
        return _Seen(smallest, largest, jump)
    grown = tuple((extent - 1) * step for (extent, _), step in zip(window, jump, strict=True))
    return _Seen(
        tuple(side + more for side, more in zip(smallest, grown, strict=True)),
        tuple(side + more for side, more in zip(largest, grown, strict=True)),
        tuple(stride * step for (_, stride), step in zip(window, jump, strict=True)),
    )


def _peak_elements(graph: Graph) -> int:
    last = graph.last_uses()
    input_last = max(index for index, node in enumerate(graph.nodes) if INPUT in node.inputs)
    alive: dict[int, int] = {INPUT: prod(graph.input_shape)}
    peak = alive[INPUT]
    for index, node in enumerate(graph.nodes):
        first = node.inputs[0]
        dies = first != INPUT and last[first] == index
        alive[index] = prod(node.shape)
        if node.layer.in_place and dies and alive.get(first) == alive[index]:
            del alive[first]
        peak = max(peak, sum(alive.values()))
        for source in set(node.inputs):
            if (input_last if source == INPUT else last[source]) == index:
                alive.pop(source, None)
    return peak
