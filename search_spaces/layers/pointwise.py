"""Layers that keep the shape: normalisation, activation, dropout, channel gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("relu", "leaky_relu", "elu", "silu", "hard_swish", "gelu")
LEAKY_SLOPE = 0.01


@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Buffers are the running mean and variance and torch's one counter of batches.
    """

    kind: ClassVar[str] = "batch_norm"
    in_place: ClassVar[bool] = True

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}

    def buffers(self, inputs: Sequence[Shape]) -> int:
        return 2 * inputs[0][0] + 1

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(inputs[0]) - 2](inputs[0][0])

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.{entry}" for entry in ("weight", "bias", "running_mean", "running_var"))
        return [OnnxNode("BatchNormalization", (inputs[0], *entries), (name,), {"epsilon": 1e-5})]


@dataclass(frozen=True, slots=True)
class Activation(Layer):
    """One of the ReLU family, by name."""

    kind: ClassVar[str] = "activation"
    in_place: ClassVar[bool] = True
    function: str = "relu"

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        modules: dict[str, type[nn.Module]] = {
            "relu": nn.ReLU,
            "leaky_relu": nn.LeakyReLU,
            "elu": nn.ELU,
            "silu": nn.SiLU,
            "hard_swish": nn.Hardswish,
            "gelu": nn.GELU,
        }
        return modules[self.function]()

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

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Identity", (inputs[0],), (name,))]
