"""Convolution over one, two or three axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Reach, Shape, Source, call

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
    # One number for all axes, or one an axis, as a folded kernel may need.
    dilation: int | tuple[int, ...] = 1
    bias: bool = False
    # Weights of zero at the start, for what must begin without effect.
    starts_at_zero: bool = False

    @property
    def dilations(self) -> tuple[int, ...]:
        return self.dilation if isinstance(self.dilation, tuple) else (self.dilation,) * len(self.kernel)

    @property
    def padding(self) -> tuple[int, ...]:
        return tuple(step * (size - 1) // 2 for size, step in zip(self.kernel, self.dilations, strict=True))

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.channels, *[(side - 1) // self.stride + 1 for side in inputs[0][1:]])

    def parameter_shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        weight = (self.channels, inputs[0][0] // self.groups, *self.kernel)
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output) * (inputs[0][0] // self.groups) * prod(self.kernel)

    def window(self, axes: int) -> tuple[Reach, ...]:
        extents = (step * (size - 1) + 1 for size, step in zip(self.kernel, self.dilations, strict=True))
        return tuple((extent, extent, self.stride) for extent in extents)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(self.kernel) - 1]
        module: nn.Module = convolution(
            inputs[0][0],
            self.channels,
            self.kernel,  # type: ignore[arg-type]
            stride=self.stride,
            padding=self.padding,  # type: ignore[arg-type]
            dilation=self.dilation,  # type: ignore[arg-type]
            groups=self.groups,
            bias=self.bias,
        )
        if self.starts_at_zero:
            module.__dict__["starts_at_zero"] = True
        return module

    def source(self, inputs: Sequence[Shape]) -> Source:
        text = call(
            f"nn.Conv{len(self.kernel)}d",
            inputs[0][0],
            self.channels,
            self.kernel,
            stride=self.stride if self.stride != 1 else None,
            padding=self.padding if any(self.padding) else None,
            dilation=self.dilations if set(self.dilations) != {1} else None,
            groups=self.groups if self.groups != 1 else None,
            bias=None if self.bias else False,
        )
        return Source(text)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.weight", f"{name}.bias") if self.bias else (f"{name}.weight",)
        attributes = {
            "kernel_shape": list(self.kernel),
            "strides": [self.stride] * len(self.kernel),
            "dilations": list(self.dilations),
            "group": self.groups,
            "pads": [*self.padding, *self.padding],
        }
        return [OnnxNode("Conv", (inputs[0], *entries), (name,), attributes)]


@lru_cache(maxsize=4096)
def pointwise(channels: int, axes: int, stride: int = 1) -> Convolution:
    """Return a 1x1 convolution without bias, which projects to so many channels."""
    return Convolution(channels, (1,) * axes, stride)
