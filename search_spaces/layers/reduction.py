"""Layers that shrink: pooling, global pooling, flattening, the dense layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """Maximum or average of windows of 2 with stride 2; an odd last row or column is dropped."""

    kind: ClassVar[str] = "pool"
    function: str = "max"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (inputs[0][0], *(side // 2 for side in inputs[0][1:]))

    def window(self, axes: int) -> tuple[tuple[int, int], ...]:
        return ((2, 2),) * axes

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        axes = len(inputs[0]) - 2
        if self.function == "max":
            return (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes](2)
        return (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[axes](2)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        two = [2] * (len(shapes[0]) - 1)
        operator = "MaxPool" if self.function == "max" else "AveragePool"
        return [OnnxNode(operator, (inputs[0],), (name,), {"kernel_shape": two, "strides": two})]


@dataclass(frozen=True, slots=True)
class GlobalPool(Layer):
    """Average or maximum of each channel over the whole map."""

    kind: ClassVar[str] = "global_pool"
    function: str = "avg"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (inputs[0][0],)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.pooling import GlobalPooling

        return GlobalPooling(self.function)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        operator = "GlobalAveragePool" if self.function == "avg" else "GlobalMaxPool"
        pooled = f"{name}.pooled"
        return [
            OnnxNode(operator, (inputs[0],), (pooled,)),
            OnnxNode("Flatten", (pooled,), (name,), {"axis": 1}),
        ]


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """All elements in a row."""

    kind: ClassVar[str] = "flatten"
    in_place: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (prod(inputs[0]),)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return nn.Flatten()

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Flatten", (inputs[0],), (name,), {"axis": 1})]


@dataclass(frozen=True, slots=True)
class Linear(Layer):
    """A dense layer with bias."""

    kind: ClassVar[str] = "linear"
    features: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.features,)

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (self.features, inputs[0][0]), "bias": (self.features,)}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return inputs[0][0] * self.features

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return nn.Linear(inputs[0][0], self.features)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.weight", f"{name}.bias")
        return [OnnxNode("Gemm", (inputs[0], *entries), (name,), {"transB": 1})]
