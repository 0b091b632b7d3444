"""The ShuffleNet unit."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from search_spaces import fields
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.rearranging import Shuffle
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


@register("shuffle_unit")
@dataclass(frozen=True, slots=True)
class ShuffleUnit(Operation):
    """Grouped 1x1, channel shuffle, depthwise, grouped 1x1 (Zhang et al. 2018, arXiv:1707.01083, figure 2).

    The middle has `channels / ratio` channels, rounded down to a multiple of the groups. With activation
    inside branches the first part is activated, the depthwise one only normalised, as in the paper; the
    shortcut is the stage's connection.
    """

    has_inside: ClassVar[bool] = True
    searched = MappingProxyType({"ratio": fields.whole(4, 1, MOST)})

    kernel: Any = 3
    groups: int = 2
    ratio: int = 4

    @property
    def narrow(self) -> int:
        """Channels in the middle."""
        return max(1, self.channels // self.ratio // self.groups) * self.groups

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "ShuffleUnit":
        return replace(self, kernel=fitted_window(self.kernel, 1, len(size))[0])

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        if not is_count(self.ratio, MOST):
            return "ratio", self.ratio, f"1 to {MOST}"
        grouped = groups_problem(self.groups, in_channels, self.channels)
        return grouped or window_problem(self.kernel, 1, len(size))

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "ShuffleUnit":
        groups = largest_groups(self.groups, in_channels, self.channels)
        return repaired_window(replace(self, groups=groups), size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        point, narrow = (1,) * len(self.kernel), self.narrow
        node = graph.add(f"{name}.narrow", Convolution(narrow, point, groups=self.groups), node)
        node = graph.activate(f"{name}.narrow", node)
        if self.groups > 1:
            node = graph.add(f"{name}.shuffle", Shuffle(self.groups), node)
        depthwise = Convolution(narrow, self.kernel, stride, narrow)
        node = graph.normalise(f"{name}.depthwise", graph.add(f"{name}.depthwise", depthwise, node))
        return graph.add(f"{name}.wide", Convolution(self.channels, point, groups=self.groups), node)
