"""Layers in which the input decides: channel gate, self-attention over positions, choice among branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn


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

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Mean and scaling of each element, then one ReLU and one sigmoid a value between them."""
        return 2 * prod(output) + output[0] + squeezed_channels(output[0], self.ratio)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.attention import SqueezeExcitationBlock

        return SqueezeExcitationBlock(inputs[0][0], squeezed_channels(inputs[0][0], self.ratio))

    def source(self, inputs: Sequence[Shape]) -> Source:
        channels = inputs[0][0]
        text = call("SqueezeExcitationBlock", channels, squeezed_channels(channels, self.ratio))
        return Source(text, definition=("attention", "SqueezeExcitationBlock"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        x, axes = inputs[0], len(shapes[0]) - 1
        steps = ("pooled", "flat", "squeezed", "relu", "excited", "gate", "shape", "map")
        pooled, flat, squeezed, relu, excited, gate, shape, gate_map = (f"{name}.{step}" for step in steps)
        squeeze, excite = ((f"{name}.{part}.weight", f"{name}.{part}.bias") for part in ("squeeze", "excite"))
        return [
            OnnxNode("GlobalAveragePool", (x,), (pooled,)),
            OnnxNode("Flatten", (pooled,), (flat,), {"axis": 1}),
            OnnxNode("Gemm", (flat, *squeeze), (squeezed,), {"transB": 1}),
            OnnxNode("Relu", (squeezed,), (relu,)),
            OnnxNode("Gemm", (relu, *excite), (excited,), {"transB": 1}),
            OnnxNode("Sigmoid", (excited,), (gate,)),
            OnnxNode(
                "Reshape",
                (gate, shape),
                (gate_map,),
                constants={shape: ((-1, shapes[0][0], *([1] * axes)), "int64")},
            ),
            OnnxNode("Mul", (x, gate_map), (name,)),
        ]


@dataclass(frozen=True, slots=True)
class AttentionScores(Layer):
    """How much each position heeds each other: softmax of query times key, (N, N) of N positions."""

    kind: ClassVar[str] = "attention_scores"
    gives_map: ClassVar[bool] = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (prod(inputs[0][1:]),) * 2

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output) * inputs[0][0]

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.attention import PositionScores

        return PositionScores()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source("PositionScores()", definition=("attention", "PositionScores"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        shape = f"{name}.shape"
        rows = (-1, shapes[0][0], prod(shapes[0][1:]))
        return [
            OnnxNode("Reshape", (inputs[0], shape), (f"{name}.query",), constants={shape: (rows, "int64")}),
            OnnxNode("Reshape", (inputs[1], shape), (f"{name}.key",)),
            OnnxNode("Transpose", (f"{name}.query",), (f"{name}.turned",), {"perm": [0, 2, 1]}),
            OnnxNode("MatMul", (f"{name}.turned", f"{name}.key"), (f"{name}.product",)),
            OnnxNode("Softmax", (f"{name}.product",), (name,), {"axis": -1}),
        ]


@dataclass(frozen=True, slots=True)
class AttendedSum(Layer):
    """Input plus what each position gathers from all others, by a learnt factor that starts at zero.

    Reads input, values and scores; Zhang et al. 2019, arXiv:1805.08318, equations 2 and 3.
    """

    kind: ClassVar[str] = "attended_sum"

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"scale": (1,)}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return inputs[1][0] * prod(inputs[2])

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return 2 * prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.attention import AttendedAddition

        return AttendedAddition()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source("AttendedAddition()", definition=("attention", "AttendedAddition"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        x, value, scores = inputs
        channels, *size = shapes[1]
        rows, back = f"{name}.rows_shape", f"{name}.back_shape"
        flat = (-1, channels, prod(size))
        return [
            OnnxNode("Reshape", (value, rows), (f"{name}.value",), constants={rows: (flat, "int64")}),
            OnnxNode("Transpose", (scores,), (f"{name}.turned",), {"perm": [0, 2, 1]}),
            OnnxNode("MatMul", (f"{name}.value", f"{name}.turned"), (f"{name}.gathered",)),
            OnnxNode(
                "Reshape",
                (f"{name}.gathered", back),
                (f"{name}.map",),
                constants={back: ((-1, channels, *size), "int64")},
            ),
            OnnxNode("Mul", (f"{name}.map", f"{name}.scale"), (f"{name}.scaled",)),
            OnnxNode("Add", (x, f"{name}.scaled"), (name,)),
        ]


@dataclass(frozen=True, slots=True)
class SelectiveSum(Layer):
    """Sum of equally shaped maps by shares that the input decides, a softmax over maps for each channel.

    The last input holds the logits, map after map; Li et al. 2019, arXiv:1903.06586, equations 5 and 6.
    """

    kind: ClassVar[str] = "selective_sum"

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        maps = len(inputs) - 1
        return (2 * maps - 1) * prod(output) + inputs[-1][0]

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import SelectiveAddition

        return SelectiveAddition()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source("SelectiveAddition()", definition=("merging", "SelectiveAddition"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        *maps, logits = inputs
        channels, *size = shapes[0]
        shape = f"{name}.shape"
        rows = (-1, len(maps), channels, *[1] * len(size))
        shares = [f"{name}.share{number}" for number in range(len(maps))]
        flat = [f"{name}.flat{number}" for number in range(len(maps))]
        parts = [f"{name}.part{number}" for number in range(len(maps))]
        axis = f"{name}.axis"
        return [
            OnnxNode("Reshape", (logits, shape), (f"{name}.rows",), constants={shape: (rows, "int64")}),
            OnnxNode("Softmax", (f"{name}.rows",), (f"{name}.softmax",), {"axis": 1}),
            OnnxNode("Split", (f"{name}.softmax",), tuple(shares), {"axis": 1, "num_outputs": len(maps)}),
            *(
                OnnxNode("Squeeze", (share, axis), (squeezed,), constants={axis: ((1.0,), "int64")})
                if number == 0
                else OnnxNode("Squeeze", (share, axis), (squeezed,))
                for number, (share, squeezed) in enumerate(zip(shares, flat, strict=True))
            ),
            *(OnnxNode("Mul", (x, share), (part,)) for x, share, part in zip(maps, flat, parts, strict=True)),
            OnnxNode("Sum", tuple(parts), (name,)),
        ]
