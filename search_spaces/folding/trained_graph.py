"""A graph together with its weights, as the rewrites read and change it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import INPUT, Graph, GraphBuilder
from search_spaces.layers.layer import Layer, Shape, figures
from search_spaces.layers.normalisation import BatchNorm

Array = NDArray[Any]
# What parts call the network's input.
SOURCE = "input"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One layer, the names of what it reads, and its weights and buffers."""

    layer: Layer
    inputs: tuple[str, ...]
    state: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class TrainedGraph:
    """Layers and their weights by name, in execution order; changes return a new one without dead layers."""

    input_shape: Shape
    parts: Mapping[str, Part]
    output: str

    @classmethod
    def of(cls, graph: Graph, state: Mapping[str, Array]) -> "TrainedGraph":
        """Return a graph and a state dict in one, weights in float64.

        Raises:
            ValueError: The state lacks an entry; the message names it.
        """
        names = [node.name for node in graph.nodes]
        owned: dict[str, dict[str, Array]] = {name: {} for name in names}
        for key, value in state.items():
            owner = next((path for path in _paths(key) if path in owned), None)
            if owner is not None:
                owned[owner][key.removeprefix(f"{owner}.")] = _wide(value)
        parts = {}
        for node in graph.nodes:
            inputs = tuple(SOURCE if index == INPUT else names[index] for index in node.inputs)
            parts[node.name] = Part(node.layer, inputs, owned[node.name])
            _check(node.name, node.layer, node.input_shapes, owned[node.name])
        return cls(graph.input_shape, parts, names[-1])

    def graph(self) -> Graph:
        """Return the layers alone."""
        builder, places = GraphBuilder(self.input_shape), {SOURCE: INPUT}
        for name, part in self.parts.items():
            places[name] = builder.add(name, part.layer, *(places[source] for source in part.inputs))
        return builder.graph()

    def state(self) -> dict[str, Array]:
        """Return the state dict, weights in float32."""
        return {
            f"{name}.{key}": value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value
            for name, part in self.parts.items()
            for key, value in part.state.items()
        }

    @cached_property
    def uses(self) -> Counter[str]:
        """How often each layer's output is read; what leaves the network is read once more."""
        return Counter([self.output, *(source for part in self.parts.values() for source in part.inputs)])

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape (channels, *spatial) behind each layer."""
        shapes = {SOURCE: self.input_shape}
        for name, part in self.parts.items():
            shapes[name] = figures(part.layer, tuple([shapes[source] for source in part.inputs])).shape
        return shapes

    def with_part(self, name: str, part: Part) -> "TrainedGraph":
        """Return the graph with another layer of that name; it may read only what ran before it."""
        return replace(self, parts=_alive({**self.parts, name: part}, self.output))

    def without(self, name: str) -> "TrainedGraph":
        """Return the graph with a layer's only input in its place."""
        (source,) = self.parts[name].inputs
        parts = {
            other: replace(part, inputs=tuple(source if read == name else read for read in part.inputs))
            if name in part.inputs
            else part
            for other, part in self.parts.items()
        }
        output = source if self.output == name else self.output
        return replace(self, parts=_alive(parts, output), output=output)


# Returns the graph changed at one layer, or None where there is nothing to change.
Rule = Callable[[TrainedGraph, str], TrainedGraph | None]


def everywhere(trained: TrainedGraph, rule: Rule) -> TrainedGraph:
    """Apply a rule at each layer in execution order; the same object comes back where nothing changed."""
    for name in tuple(trained.parts):
        changed = rule(trained, name) if name in trained.parts else None
        trained = trained if changed is None else changed
    return trained


def _alive(parts: Mapping[str, Part], output: str) -> dict[str, Part]:
    needed = {output}
    for name in reversed(tuple(parts)):
        if name in needed:
            needed.update(parts[name].inputs)
    return {name: part for name, part in parts.items() if name in needed}


def _paths(key: str) -> Iterator[str]:
    """Yield the paths above a state entry, longest first."""
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _wide(value: Array) -> Array:
    # Counters stay whole numbers.
    return value.astype(np.float64) if np.issubdtype(value.dtype, np.floating) else value


def _check(name: str, layer: Layer, inputs: tuple[Shape, ...], state: Mapping[str, Array]) -> None:
    needed: Iterable[str] = layer.parameter_shapes(inputs)
    if isinstance(layer, BatchNorm):
        needed = (*needed, "running_mean", "running_var")
    for key in needed:
        if key not in state:
            raise ValueError(f"the state lacks {name}.{key}")
