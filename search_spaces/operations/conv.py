"""Convolution: standard, grouped, dilated, asymmetric."""

from dataclasses import dataclass, replace
from typing import Any

from search_spaces.layers.convolution import Convolution
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    is_count,
    kernel_problem,
    per_axis,
    register,
)


@register("conv")
@dataclass(frozen=True, slots=True)
class Conv(Operation):
    """A convolution; `kernel` is one odd number, or one an axis for asymmetric kernels such as [3, 1]."""

    kernel: Any = 3
    groups: int = 1
    dilation: int = 1
    bias: bool = False

    def fitted(self, axes: int) -> "Conv":
        kernel = per_axis(self.kernel, axes)
        is_pointwise = isinstance(kernel, tuple) and all(side == 1 for side in kernel)
        return replace(self, kernel=kernel, dilation=1 if is_pointwise else self.dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> tuple[str, Any, str] | None:
        if not is_count(self.groups, in_channels) or in_channels % self.groups or self.channels % self.groups:
            return "groups", self.groups, f"a divisor of {in_channels} and {self.channels} channels"
        if not isinstance(self.bias, bool):
            return "bias", self.bias, "true, false"
        return kernel_problem(self.kernel, self.dilation, size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        layer = Convolution(self.channels, self.kernel, stride, self.groups, self.dilation, self.bias)
        return graph.add(name, layer, node)
