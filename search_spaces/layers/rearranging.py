"""Layers that move channels without changing a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Shuffle(Layer):
    """Channel shuffle (Zhang et al. 2018, arXiv:1707.01083): channel (i, j) of g x n becomes (j, i)."""

    kind: ClassVar[str] = "shuffle"
    groups: int

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.rearranging import ChannelShuffle

        return ChannelShuffle(self.groups)

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(call("ChannelShuffle", self.groups), definition=("rearranging", "ChannelShuffle"))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        channels, *size = shapes[0]
        split, merged = f"{name}.split_shape", f"{name}.merged_shape"
        rows = (-1, self.groups, channels // self.groups, *size)
        order = [0, 2, 1, *range(3, 3 + len(size))]
        return [
            OnnxNode("Reshape", (inputs[0], split), (f"{name}.split",), constants={split: (rows, "int64")}),
            OnnxNode("Transpose", (f"{name}.split",), (f"{name}.turned",), {"perm": order}),
            OnnxNode(
                "Reshape",
                (f"{name}.turned", merged),
                (name,),
                constants={merged: ((-1, channels, *size), "int64")},
            ),
        ]


@dataclass(frozen=True, slots=True)
class Slice(Layer):
    """The channels from `start` up to, not including, `stop`."""

    kind: ClassVar[str] = "slice"
    start: int
    stop: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (self.stop - self.start, *inputs[0][1:])

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.rearranging import ChannelSlice

        return ChannelSlice(self.start, self.stop)

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(f"{{0}}[:, {self.start or ''}:{self.stop}]", is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = {f"{name}.start": self.start, f"{name}.stop": self.stop, f"{name}.axis": 1}
        constants = {entry: ((float(value),), "int64") for entry, value in entries.items()}
        return [OnnxNode("Slice", (inputs[0], *entries), (name,), constants=constants)]
