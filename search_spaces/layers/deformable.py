"""Deformable convolution over two axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Reach, Shape, Source

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class DeformableConvolution(Layer):
    """Convolution whose taps are moved by offsets (Dai et al. 2017, arXiv:1703.06211).

    Reads the map and its offsets, (2 x taps, H, W) in the order (dy, dx) of each tap, row by row. Positions
    between pixels are interpolated, positions outside read as zero. MACs are those of a convolution;
    interpolation counts as element-wise operations: four products a tap and input channel. The receptive
    field moves with the input; what is reported is that of the regular grid, where all offsets are zero.
    """

    kind: ClassVar[str] = "deformable_convolution"
    channels: int
    kernel: tuple[int, ...]
    stride: int = 1
    groups: int = 1

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.channels, *[(side - 1) // self.stride + 1 for side in inputs[0][1:]])

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        return {"weight": (self.channels, inputs[0][0] // self.groups, *self.kernel)}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output) * (inputs[0][0] // self.groups) * prod(self.kernel)

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return 4 * inputs[0][0] * prod(self.kernel) * prod(output[1:])

    def window(self, axes: int) -> tuple[Reach, ...]:
        return tuple((size, size, self.stride) for size in self.kernel)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.deformable import DeformableConvolutionBlock

        return DeformableConvolutionBlock(
            inputs[0][0], self.channels, self.kernel, stride=self.stride, groups=self.groups
        )

    def source(self, inputs: Sequence[Shape]) -> Source:
        text = (
            f"DeformableConvolutionBlock({inputs[0][0]}, {self.channels}, {self.kernel}, "
            f"stride={self.stride}, groups={self.groups})"
        )
        return Source(text, definition=("deformable", "DeformableConvolutionBlock"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        padding = [(size - 1) // 2 for size in self.kernel]
        attributes = {
            "kernel_shape": list(self.kernel),
            "strides": [self.stride] * 2,
            "pads": [*padding, *padding],
            "group": self.groups,
        }
        return [OnnxNode("DeformConv", (inputs[0], f"{name}.weight", inputs[1]), (name,), attributes)]
