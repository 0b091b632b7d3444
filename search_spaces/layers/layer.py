"""The contract of a primitive layer: everything the rest of the package asks of a node of the graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import nn

# (channels, *spatial) of one example.
Shape = tuple[int, ...]
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One ONNX operator: inputs and outputs by name, attributes as plain values."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    # Constant inputs by name: (data, kind), kind "int64" or "float32".
    constants: dict[str, tuple[tuple[float, ...], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """A primitive layer, free of any tensor.

    Subclasses are frozen dataclasses; all counts are exact integers for one example.
    """

    kind: ClassVar[str]
    # Whether the output, of the same size, may take the place of the first input in memory.
    in_place: ClassVar[bool] = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape (channels, *spatial) that comes out."""
        return inputs[0]

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Return the shape of each trainable tensor by its name in the state dict."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> int:
        """Count the elements of non-trainable tensors."""
        return 0

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Count multiply-accumulates; bias, normalisation, activation and pooling count as zero."""
        return 0

    def window(self, axes: int) -> tuple[tuple[int, int], ...] | None:
        """Return (extent, stride) an axis that one output sees of the input; None for a pointwise layer."""
        return None

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        """Return the torch module; its parameters carry the names of `parameter_shapes`."""
        raise NotImplementedError

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        """Return the operators that compute output `name`; a state entry is named `name.entry`."""
        raise NotImplementedError
