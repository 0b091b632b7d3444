"""The contract of a primitive layer: everything the rest of the package asks of a node of the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import nn

# (channels, *spatial) of one example.
Shape = tuple[int, ...]
# What one output sees of the input along one axis: (smallest extent, largest extent, stride).
Reach = tuple[int, int, int]
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One ONNX operator: inputs and outputs by name, attributes as plain values."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    # Constant inputs by name: (data, kind), kind "int64" or "float32".
    constants: Mapping[str, tuple[tuple[float, ...], str]] = field(default_factory=dict)


class Source(NamedTuple):
    """How a layer reads in plain torch code.

    With `is_module` the text constructs a module that is called with the layer's inputs; otherwise it is an
    expression with `{0}`, `{1}`, ... for the inputs and `{all}` for all of them.
    """

    text: str
    is_module: bool = True
    # The class in `search_spaces.modules` whose definition the code needs: (file, name).
    definition: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A primitive layer, free of any tensor.

    Subclasses are frozen dataclasses; all counts are exact integers for one example.
    """

    kind: ClassVar[str]
    # Whether the output, of the same size, may take the place of the first input in memory.
    in_place: ClassVar[bool] = False
    # Whether a map of features comes out, whose positions stand for places of the input.
    gives_map: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape (channels, *spatial) that comes out."""
        return inputs[0]

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Return the shape of each trainable tensor by its name in the state dict."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> int:
        """Count the elements of non-trainable tensors, integer counters included."""
        return 0

    def counters(self) -> int:
        """Count the integer elements among the buffers, which no exported file holds."""
        return 0

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Count multiply-accumulates; bias, normalisation, activation and pooling count as zero."""
        return 0

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Count the operations that are no multiply-accumulate of a convolution or a dense layer."""
        return 0

    def window(self, axes: int) -> tuple[Reach, ...] | None:
        """Return what one output sees of the input, an axis each; None for a pointwise layer."""
        return None

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        """Return the torch module; its parameters carry the names of `parameter_shapes`."""
        raise NotImplementedError

    def source(self, inputs: Sequence[Shape]) -> Source:
        """Return how code of plain torch writes what `module` returns."""
        raise NotImplementedError

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        """Return the operators that compute output `name`; a state entry is named `name.entry`."""
        raise NotImplementedError


def call(function: str, *positional: object, **named: object) -> str:
    """Return the text of a call; equal numbers an axis become one, a named value of None is left out."""
    words = [_written(value) for value in positional]
    words += [f"{name}={_written(value)}" for name, value in named.items() if value is not None]
    return f"{function}({', '.join(words)})"


def _written(value: object) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        return repr(value[0])
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Counts(NamedTuple):
    """What adds up over layers."""

    params: int
    buffers: int
    macs: int
    elementwise: int
    model_bytes: int
    model_bytes_int8: int


class Figures(NamedTuple):
    """All that is known of one layer behind maps of given shapes."""

    shape: Shape
    elements: int
    counts: Counts
    # None for a pointwise layer.
    window: tuple[Reach, ...] | None


def summed(parts: Sequence[Counts]) -> Counts:
    """Return the sum of counts; zeros where there are none."""
    return Counts(*map(sum, zip(*parts, strict=True))) if parts else Counts(0, 0, 0, 0, 0, 0)


@lru_cache(maxsize=2**16)
def figures(layer: Layer, inputs: tuple[Shape, ...]) -> Figures:
    """Return the figures of a layer; remembered, for the same layers come back in most networks."""
    shape = layer.output_shape(inputs)
    shapes = layer.parameter_shapes(inputs).values()
    params, buffers = sum(map(prod, shapes)), layer.buffers(inputs)
    size = FLOAT_BYTES * (params + buffers - layer.counters())
    # A matrix takes a byte an entry and a scale for each output channel; all else stays as it is.
    saved = sum(
        (FLOAT_BYTES - 1) * prod(shape) - FLOAT_BYTES * shape[0] for shape in shapes if len(shape) > 1
    )
    macs, elementwise = layer.macs(inputs, shape), layer.elementwise(inputs, shape)
    counts = Counts(params, buffers, macs, elementwise, size, size - saved)
    return Figures(shape, prod(shape), counts, layer.window(len(inputs[0]) - 1))


# By the layer's identity, which is cheaper to look up than its fields; the value keeps the layer alive.
_REMEMBERED: dict[tuple[int, tuple[Shape, ...]], tuple[Layer, Figures]] = {}
_MOST_REMEMBERED = 2**16


def remembered_figures(layer: Layer, inputs: tuple[Shape, ...]) -> Figures:
    """Return what `figures` returns, faster where one layer object serves in many networks."""
    known = _REMEMBERED.get((id(layer), inputs))
    if known is not None:
        return known[1]
    found = figures(layer, inputs)
    if len(_REMEMBERED) >= _MOST_REMEMBERED:
        _REMEMBERED.clear()
    _REMEMBERED[id(layer), inputs] = (layer, found)
    return found
