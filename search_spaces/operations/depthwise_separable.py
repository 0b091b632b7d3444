"""Depthwise separable convolution: each channel on its own, then 1x1 across channels."""

from dataclasses import dataclass, replace
from typing import Any

from search_spaces.layers.convolution import Convolution
from search_spaces.operations.operation import (
    MAX_CHANNELS,
    Lowering,
    Operation,
    Problem,
    fitted_window,
    register,
    window_problem,
)
from search_spaces.validation import is_count


@register("depthwise_separable")
@dataclass(frozen=True, slots=True)
class DepthwiseSeparable(Operation):
    """Depthwise convolution with a multiplier, then a 1x1 convolution (Chollet 2017, arXiv:1610.02357)."""

    kernel: Any = 3
    dilation: int = 1
    multiplier: int = 1

    def fitted(self, axes: int) -> "DepthwiseSeparable":
        kernel, dilation = fitted_window(self.kernel, self.dilation, axes)
        return replace(self, kernel=kernel, dilation=dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        most = MAX_CHANNELS // in_channels
        if not is_count(self.multiplier, most):
            return "multiplier", self.multiplier, f"1 to {most}"
        return window_problem(self.kernel, self.dilation, len(size))

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        inputs = graph.channels(node)
        spread = Convolution(inputs * self.multiplier, self.kernel, stride, inputs, self.dilation)
        depthwise = graph.add(f"{name}.depthwise", spread, node)
        point = (1,) * len(self.kernel)
        return graph.add(f"{name}.pointwise", Convolution(self.channels, point), depthwise)
