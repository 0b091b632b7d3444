"""Interleaved group convolutions."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from search_spaces.layers.convolution import Convolution
from search_spaces.layers.rearranging import Shuffle
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    groups_problem,
    register,
    window_problem,
)


@register("igc")
@dataclass(frozen=True, slots=True)
class InterleavedGroups(Operation):
    """Two group convolutions that complement each other (Zhang et al. 2017, arXiv:1707.02725).

    The primary one has `groups` partitions and the kernel; the secondary one is 1x1 within partitions that
    each take one channel of every primary partition; a permutation stands before and after it.
    """

    has_inside: ClassVar[bool] = True

    kernel: Any = 3
    groups: int = 2
    dilation: int = 1

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "InterleavedGroups":
        kernel, dilation = fitted_window(self.kernel, self.dilation, len(size))
        return replace(self, kernel=kernel, dilation=dilation)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        grouped = groups_problem(self.groups, in_channels, self.channels)
        return grouped or window_problem(self.kernel, self.dilation, len(size))

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        partitions = self.channels // self.groups
        primary = Convolution(self.channels, self.kernel, stride, self.groups, self.dilation)
        node = graph.normalise(f"{name}.primary", graph.add(f"{name}.primary", primary, node))
        node = graph.add(f"{name}.interleave", Shuffle(self.groups), node)
        secondary = Convolution(self.channels, (1,) * len(self.kernel), groups=partitions)
        node = graph.add(f"{name}.secondary", secondary, node)
        return graph.add(f"{name}.restore", Shuffle(partitions), node)
