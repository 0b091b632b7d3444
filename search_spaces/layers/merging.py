"""Layers that bring several maps together, and the channel gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Concat(Layer):
    """All channels side by side."""

    kind: ClassVar[str] = "concat"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import Concatenation

        return Concatenation()

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Concat", tuple(inputs), (name,), {"axis": 1})]


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """Sum of equally shaped maps."""

    kind: ClassVar[str] = "add"
    in_place: ClassVar[bool] = True

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import Addition

        return Addition()

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Sum", tuple(inputs), (name,))]


@dataclass(frozen=True, slots=True)
class WeightedSum(Layer):
    """Sum of equally shaped maps, each by a learnt weight; the weights are a softmax and sum to one."""

    kind: ClassVar[str] = "weighted_sum"

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (len(inputs),)}

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import WeightedAddition

        return WeightedAddition(len(inputs))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        shares = [f"{name}.share{number}" for number in range(len(inputs))]
        parts = [f"{name}.part{number}" for number in range(len(inputs))]
        return [
            OnnxNode("Softmax", (f"{name}.weight",), (f"{name}.softmax",), {"axis": 0}),
            OnnxNode("Split", (f"{name}.softmax",), tuple(shares), {"axis": 0, "num_outputs": len(inputs)}),
            *(
                OnnxNode("Mul", (x, share), (part,))
                for x, share, part in zip(inputs, shares, parts, strict=True)
            ),
            OnnxNode("Sum", tuple(parts), (name,)),
        ]


def squeezed_channels(channels: int, ratio: int) -> int:
    """Return the width that squeeze-and-excitation narrows to."""
    return max(1, channels // ratio)


@dataclass(frozen=True, slots=True)
class SqueezeExcitation(Layer):
    """Channel gate: global average, two dense layers, sigmoid (Hu et al. 2018, arXiv:1709.01507)."""

    kind: ClassVar[str] = "squeeze_excitation"
    in_place: ClassVar[bool] = True
    ratio: int

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        channels = inputs[0][0]
        squeezed = squeezed_channels(channels, self.ratio)
        return {
            "squeeze.weight": (squeezed, channels),
            "squeeze.bias": (squeezed,),
            "excite.weight": (channels, squeezed),
            "excite.bias": (channels,),
        }

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return 2 * inputs[0][0] * squeezed_channels(inputs[0][0], self.ratio)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.attention import SqueezeExcitationBlock

        return SqueezeExcitationBlock(inputs[0][0], squeezed_channels(inputs[0][0], self.ratio))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        x, axes = inputs[0], len(shapes[0]) - 1
        step = [
            f"{name}.{part}"
            for part in ("pooled", "flat", "squeezed", "relu", "excited", "gate", "shape", "map")
        ]
        pooled, flat, squeezed, relu, excited, gate, shape, gate_map = step
        return [
            OnnxNode("GlobalAveragePool", (x,), (pooled,)),
            OnnxNode("Flatten", (pooled,), (flat,), {"axis": 1}),
            OnnxNode(
                "Gemm", (flat, f"{name}.squeeze.weight", f"{name}.squeeze.bias"), (squeezed,), {"transB": 1}
            ),
            OnnxNode("Relu", (squeezed,), (relu,)),
            OnnxNode(
                "Gemm", (relu, f"{name}.excite.weight", f"{name}.excite.bias"), (excited,), {"transB": 1}
            ),
            OnnxNode("Sigmoid", (excited,), (gate,)),
            OnnxNode(
                "Reshape",
                (gate, shape),
                (gate_map,),
                constants={shape: ((-1, shapes[0][0], *([1] * axes)), "int64")},
            ),
            OnnxNode("Mul", (x, gate_map), (name,)),
        ]
