"""Layers that shrink: pooling, pooling to a fixed number of bins, flattening, the dense layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from search_spaces.layers.layer import Layer, OnnxNode, Reach, Shape, Source, call

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """Maximum or average of windows; odd ones are padded by half, and padding never counts.

    A window of 2 drops an odd last row or column; a window of 1 with a stride takes every other position.
    """

    kind: ClassVar[str] = "pool"
    function: str = "max"
    kernel: tuple[int, ...] | int = 2
    stride: int = 2

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        sides = zip(inputs[0][1:], self._kernels(len(inputs[0]) - 1), strict=True)
        return (
            inputs[0][0],
            *[(side + 2 * ((size - 1) // 2) - size) // self.stride + 1 for side, size in sides],
        )

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(output) * prod(self._kernels(len(output) - 1))

    def window(self, axes: int) -> tuple[Reach, ...]:
        return tuple((size, size, self.stride) for size in self._kernels(axes))

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        from search_spaces.modules.pooling import PaddedAverage3d

        axes = len(inputs[0]) - 1
        kernel = self._kernels(axes)
        padding = tuple((size - 1) // 2 for size in kernel)
        if self.function == "max":
            return (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1](kernel, self.stride, padding)
        if axes == 3 and any(padding):
            return PaddedAverage3d(kernel, self.stride, padding)
        average = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[axes - 1]
        return average(kernel, self.stride, padding, count_include_pad=False)  # type: ignore[arg-type]

    def source(self, inputs: Sequence[Shape]) -> Source:
        axes = len(inputs[0]) - 1
        kernel = self._kernels(axes)
        padding = tuple((size - 1) // 2 for size in kernel)
        if self.function == "avg" and axes == 3 and any(padding):
            text = f"PaddedAverage3d({kernel}, {self.stride}, {padding})"
            return Source(text, definition=("pooling", "PaddedAverage3d"))
        name = "MaxPool" if self.function == "max" else "AvgPool"
        padded = padding if any(padding) else None
        counted = False if self.function == "avg" and padded else None
        stride = self.stride if set(kernel) != {self.stride} else None
        return Source(
            call(f"nn.{name}{axes}d", kernel, stride=stride, padding=padded, count_include_pad=counted)
        )

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        kernel = self._kernels(len(shapes[0]) - 1)
        padding = [(size - 1) // 2 for size in kernel]
        attributes = {
            "kernel_shape": list(kernel),
            "strides": [self.stride] * len(kernel),
            "pads": [*padding, *padding],
        }
        operator = "MaxPool" if self.function == "max" else "AveragePool"
        return [OnnxNode(operator, (inputs[0],), (name,), attributes)]

    def _kernels(self, axes: int) -> tuple[int, ...]:
        return self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * axes


@dataclass(frozen=True, slots=True)
class GlobalPool(Layer):
    """Average or maximum of each channel over the whole map."""

    kind: ClassVar[str] = "global_pool"
    gives_map: ClassVar[bool] = False
    function: str = "avg"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (inputs[0][0],)

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        return prod(inputs[0])

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.pooling import GlobalPooling

        return GlobalPooling(self.function)

    def source(self, inputs: Sequence[Shape]) -> Source:
        reduce = "mean" if self.function == "avg" else "amax"
        axes = ", ".join(str(axis) for axis in range(2, len(inputs[0]) + 1))
        # One axis is a tuple as well: `amax` and `mean` then take the same way through torch.
        return Source(f"{{0}}.{reduce}(({axes}{',' * (len(inputs[0]) == 2)}))", is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        operator = "GlobalAveragePool" if self.function == "avg" else "GlobalMaxPool"
        pooled = f"{name}.pooled"
        return [
            OnnxNode(operator, (inputs[0],), (pooled,)),
            OnnxNode("Flatten", (pooled,), (name,), {"axis": 1}),
        ]


@dataclass(frozen=True, slots=True)
class AdaptivePool(Layer):
    """Average or maximum over a few bins an axis, in a row; bin i of b covers i n / b up to (i + 1) n / b.

    Bounds are rounded outwards, so bins may overlap by one position.
    """

    kind: ClassVar[str] = "adaptive_pool"
    gives_map: ClassVar[bool] = False
    function: str = "avg"
    bins: int = 2

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (inputs[0][0] * prod(min(self.bins, side) for side in inputs[0][1:]),)

    def elementwise(self, inputs: Sequence[Shape], output: Shape) -> int:
        covered = (sum(last - first for first, last in self._bounds(side)) for side in inputs[0][1:])
        return inputs[0][0] * prod(covered)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from search_spaces.modules.pooling import AdaptivePooling

        return AdaptivePooling(self.function, tuple(min(self.bins, side) for side in inputs[0][1:]))

    def source(self, inputs: Sequence[Shape]) -> Source:
        function = f"F.adaptive_{self.function}_pool{len(inputs[0]) - 1}d"
        bins = tuple(min(self.bins, side) for side in inputs[0][1:])
        return Source(f"{function}({{0}}, {bins}).flatten(1)", is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        """Reduce one axis after the other: a window is the product of its axes' bounds."""
        operators: list[OnnxNode] = []
        source = inputs[0]
        for axis, side in enumerate(shapes[0][1:], start=2):
            parts = []
            for number, bounds in enumerate(self._bounds(side)):
                parts.append(f"{name}.axis{axis}.bin{number}")
                operators += self._bin(parts[-1], source, axis, bounds)
            source = f"{name}.axis{axis}"
            operators.append(OnnxNode("Concat", tuple(parts), (source,), {"axis": axis}))
        return [*operators, OnnxNode("Flatten", (source,), (name,), {"axis": 1})]

    def _bin(self, name: str, source: str, axis: int, bounds: tuple[int, int]) -> list[OnnxNode]:
        entries = [f"{name}.{entry}" for entry in ("first", "last", "axis")]
        values = (*bounds, axis)
        constants = {entry: ((float(value),), "int64") for entry, value in zip(entries, values, strict=True)}
        reduce = "ReduceMean" if self.function == "avg" else "ReduceMax"
        piece = f"{name}.slice"
        return [
            OnnxNode("Slice", (source, *entries), (piece,), constants=constants),
            OnnxNode(reduce, (piece, entries[2]), (name,), {"keepdims": 1}),
        ]

    def _bounds(self, side: int) -> list[tuple[int, int]]:
        bins = min(self.bins, side)
        return [(index * side // bins, -(-(index + 1) * side // bins)) for index in range(bins)]


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """All elements in a row."""

    kind: ClassVar[str] = "flatten"
    in_place: ClassVar[bool] = True
    gives_map: ClassVar[bool] = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (prod(inputs[0]),)

    def module(self, inputs: Sequence[Shape]) -> "nn.Module":
        from torch import nn

        return nn.Flatten()

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source("{0}.flatten(1)", is_module=False)

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        return [OnnxNode("Flatten", (inputs[0],), (name,), {"axis": 1})]


@dataclass(frozen=True, slots=True)
class Linear(Layer):
    """A dense layer with bias."""

    kind: ClassVar[str] = "linear"
    gives_map: ClassVar[bool] = False
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

    def source(self, inputs: Sequence[Shape]) -> Source:
        return Source(call("nn.Linear", inputs[0][0], self.features))

    def onnx(self, name: str, inputs: Sequence[str], shapes: Sequence[Shape]) -> list[OnnxNode]:
        entries = (f"{name}.weight", f"{name}.bias")
        return [OnnxNode("Gemm", (inputs[0], *entries), (name,), {"transB": 1})]
