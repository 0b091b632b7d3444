"""Depthwise separable convolution: each channel on its own, then 1x1 across channels."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from search_spaces import fields
from search_spaces.layers.convolution import Convolution
from search_spaces.operations.operation import (
    MAX_CHANNELS,
    Lowering,
    Operation,
    Problem,
    fitted_window,
    flag_problem,
    register,
    repaired_window,
    window_problem,
)
from search_spaces.validation import is_count


@register("depthwise_separable")
@dataclass(frozen=True, slots=True)
class DepthwiseSeparable(Operation):
    """Depthwise convolution with a multiplier, then a 1x1 convolution (Chollet 2017, arXiv:1610.02357).

    With a dilation it is the atrous separable convolution of Chen et al. 2018, arXiv:1802.02611. MobileNet
    (Howard et al. 2017, arXiv:1704.04861) also normalises and activates between the two: `inner_activation`.
    """

    can_be_asymmetric: ClassVar[bool] = True
    searched = MappingProxyType(
        {"multiplier": fields.whole(1, 1, 8), "inner_activation": fields.one_of(False, True)}
    )

    kernel: Any = 3
    dilation: int = 1
    multiplier: int = 1
    inner_activation: bool = False
    # As in `conv`, of both parts.
    bias: bool = False

    @property
    def is_linear(self) -> bool:
        return not self.inner_activation

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "DepthwiseSeparable":
        kernel, dilation = fitted_window(self.kernel, self.dilation, len(size))
        if (kernel, dilation) == (self.kernel, self.dilation):
            return self
        return replace(self, kernel=kernel, dilation=dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        most = MAX_CHANNELS // in_channels
        if not is_count(self.multiplier, most):
            return "multiplier", self.multiplier, f"1 to {most}"
        flags = (("inner_activation", self.inner_activation), ("bias", self.bias))
        problem = next(filter(None, (flag_problem(*flag) for flag in flags)), None)
        return problem or window_problem(self.kernel, self.dilation, len(size))

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "DepthwiseSeparable":
        most = MAX_CHANNELS // in_channels
        fitting = self if self.multiplier <= most else replace(self, multiplier=most)
        return repaired_window(fitting, size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        inputs = graph.channels(node)
        spread = Convolution(inputs * self.multiplier, self.kernel, stride, inputs, self.dilation, self.bias)
        depthwise = graph.add(f"{name}.depthwise", spread, node)
        if self.inner_activation:
            depthwise = graph.activate(f"{name}.inner", depthwise, always=True)
        point = Convolution(self.channels, (1,) * len(self.kernel), bias=self.bias)
        return graph.add(f"{name}.pointwise", point, depthwise)
