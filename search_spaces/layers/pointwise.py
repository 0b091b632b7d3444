"""Layers that act on each element: activation, dropout."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("relu", "leaky_relu", "elu", "silu", "hard_swish", "gelu")
LEAKY_SLOPE = 0.01
# What torch calls them.
TORCH_NAMES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "silu": "SiLU",
    "hard_swish": "Hardswish",
    "gelu": "GELU",
}


@dataclass(frozen=True, slots=True)
class Activation(Layer):
    """One of the ReLU family, by name."""

    kind: ClassVar[str] = "activation"
    in_place: ClassVar[bool] = True
    function: str = "relu"

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        module: nn.Module = getattr(nn, TORCH_NAMES[self.function])()
        return module

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(f"nn.{TORCH_NAMES[self.function]}()")

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        x = inputs[0]
        if self.function == "silu":
            gate = f"{name}.sigmoid"
            return [OnnxNode("Sigmoid", (x,), (gate,)), OnnxNode("Mul", (x, gate), (name,))]
        if self.function == "leaky_relu":
            return [OnnxNode("LeakyRelu", (x,), (name,), {"alpha": LEAKY_SLOPE})]
        operators = {"relu": "Relu", "elu": "Elu", "hard_swish": "HardSwish", "gelu": "Gelu"}
        return [OnnxNode(operators[self.function], (x,), (name,))]


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Dropout; nothing at inference."""

    kind: ClassVar[str] = "dropout"
    in_place: ClassVar[bool] = True
    rate: float = 0.0

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return nn.Dropout(self.rate)

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(call("nn.Dropout", self.rate))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Identity", (inputs[0],), (name,))]


@lru_cache(maxsize=64)
def activation_layer(function: str) -> Activation:
    """Return the layer of an activation's name."""
    return Activation(function)
