"""Convolution over one, two or three axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Convolution(Layer):
    """Convolution, padded by `dilation * (kernel - 1) / 2` so that only its stride shrinks the map."""

    kind: ClassVar[str] = "convolution"
    channels: int
    kernel: tuple[int, ...]
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    bias: bool = False

    @property
    def padding(self) -> tuple[int, ...]:
        return tuple(self.dilation * (size - 1) // 2 for size in self.kernel)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.channels, *((side - 1) // self.stride + 1 for side in inputs[0][1:]))

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        weight = (self.channels, inputs[0][0] // self.groups, *self.kernel)
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output) * (inputs[0][0] // self.groups) * prod(self.kernel)

    def window(self, axes: int) -> tuple[tuple[int, int], ...]:
        return tuple((self.dilation * (size - 1) + 1, self.stride) for size in self.kernel)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(self.kernel) - 1]
        return convolution(
            inputs[0][0],
            self.channels,
            self.kernel,  # type: ignore[arg-type]
            stride=self.stride,
            padding=self.padding,  # type: ignore[arg-type]
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
        )

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        axes = len(self.kernel)
        entries = (f"{name}.weight", f"{name}.bias") if self.bias else (f"{name}.weight",)
        attributes = {
            "kernel_shape": list(self.kernel),
            "strides": [self.stride] * axes,
            "dilations": [self.dilation] * axes,
            "group": self.groups,
            "pads": [*self.padding, *self.padding],
        }
        return [OnnxNode("Conv", (inputs[0], *entries), (name,), attributes)]
