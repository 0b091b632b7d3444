"""Bottleneck: 1x1 to fewer channels, a convolution there, 1x1 back."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from search_spaces import fields
from search_spaces.layers.convolution import Convolution, pointwise
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    groups_problem,
    largest_groups,
    register,
    repaired_window,
    window_problem,
)
from search_spaces.validation import is_count

MOST = 16


@register("bottleneck")
@dataclass(frozen=True, slots=True)
class Bottleneck(Operation):
    """Wide, narrow, wide (He et al. 2016, arXiv:1512.03385): the middle has `channels / ratio` channels."""

    has_inside: ClassVar[bool] = True
    searched = MappingProxyType({"ratio": fields.whole(4, 1, MOST)})

    kernel: Any = 3
    groups: int = 1
    dilation: int = 1
    ratio: int = 4

    @property
    def narrow(self) -> int:
        """Channels in the middle."""
        return max(1, self.channels // self.ratio)

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Bottleneck":
        kernel, dilation = fitted_window(self.kernel, self.dilation, len(size))
        return replace(self, kernel=kernel, dilation=dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        if not is_count(self.ratio, MOST):
            return "ratio", self.ratio, f"1 to {MOST}"
        grouped = groups_problem(self.groups, self.narrow, self.narrow)
        return grouped or window_problem(self.kernel, self.dilation, len(size))

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "Bottleneck":
        groups = largest_groups(self.groups, self.narrow, self.narrow)
        return repaired_window(replace(self, groups=groups), size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        axes = len(self.kernel)
        node = graph.add(f"{name}.narrow", pointwise(self.narrow, axes), node)
        node = graph.activate(f"{name}.narrow", node)
        inner = Convolution(self.narrow, self.kernel, stride, self.groups, self.dilation)
        node = graph.activate(f"{name}.inner", graph.add(f"{name}.inner", inner, node))
        return graph.add(f"{name}.wide", pointwise(self.channels, axes), node)
