"""Convolution: standard, grouped, dilated, asymmetric."""

from dataclasses import dataclass, replace
from typing import Any

from search_spaces.layers.convolution import Convolution
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    register,
    window_problem,
)
from search_spaces.validation import is_count


@register("conv")
@dataclass(frozen=True, slots=True)
class Conv(Operation):
    """A convolution; `kernel` is one odd number, or one an axis for asymmetric kernels such as [3, 1]."""

    kernel: Any = 3
    groups: int = 1
    dilation: int = 1
    # Without effect before batch norm, which has a bias of its own.
    bias: bool = False

    def fitted(self, axes: int) -> "Conv":
        kernel, dilation = fitted_window(self.kernel, self.dilation, axes)
        return replace(self, kernel=kernel, dilation=dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        if not is_count(self.groups, in_channels) or in_channels % self.groups or self.channels % self.groups:
            return "groups", self.groups, f"a divisor of {in_channels} and {self.channels} channels"
        if not isinstance(self.bias, bool):
            return "bias", self.bias, "true, false"
        return window_problem(self.kernel, self.dilation, len(size))

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        layer = Convolution(self.channels, self.kernel, stride, self.groups, self.dilation, self.bias)
        return graph.add(name, layer, node)
