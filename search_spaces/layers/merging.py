"""Layers that bring several maps together."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn

# How learnt weights become the shares of a weighted sum.
WEIGHTINGS = ("softmax", "free", "sigmoid")


@dataclass(frozen=True, slots=True)
class Concat(Layer):
    """All channels side by side."""

    kind: ClassVar[str] = "concat"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (sum([shape[0] for shape in inputs]), *inputs[0][1:])

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import Concatenation

        return Concatenation()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source("torch.cat([{all}], dim=1)", is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Concat", tuple(inputs), (name,), {"axis": 1})]


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """Sum of equally shaped maps."""

    kind: ClassVar[str] = "add"
    in_place: ClassVar[bool] = True

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return (len(inputs) - 1) * prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import Addition

        return Addition()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(" + ".join(f"{{{index}}}" for index in range(len(inputs))), is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Sum", tuple(inputs), (name,))]


@dataclass(frozen=True, slots=True)
class WeightedSum(Layer):
    """Sum of equally shaped maps, each by a learnt weight.

    Weights are a softmax, which sums to one; or each the sigmoid of its own; or free, one at the start.
    """

    kind: ClassVar[str] = "weighted_sum"
    weighting: str = "softmax"

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (len(inputs),)}

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return (2 * len(inputs) - 1) * prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.merging import WeightedAddition

        return WeightedAddition(len(inputs), self.weighting)

    def source(self, inputs: Sequence[Shape]) -> Source:
        text = call("WeightedAddition", len(inputs), self.weighting)
        return Source(text, definition=("merging", "WeightedAddition"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        shares = [f"{name}.share{number}" for number in range(len(inputs))]
        parts = [f"{name}.part{number}" for number in range(len(inputs))]
        ready = f"{name}.weights"
        operator, attributes = {
            "softmax": ("Softmax", {"axis": 0}),
            "sigmoid": ("Sigmoid", {}),
            "free": ("Identity", {}),
        }[self.weighting]
        return [
            OnnxNode(operator, (f"{name}.weight",), (ready,), attributes),
            OnnxNode("Split", (ready,), tuple(shares), {"axis": 0, "num_outputs": len(inputs)}),
            *(
                OnnxNode("Mul", (x, share), (part,))
                for x, share, part in zip(inputs, shares, parts, strict=True)
            ),
            OnnxNode("Sum", tuple(parts), (name,)),
        ]
