"""Pyramidal convolution as one operation: levels of growing kernels in growing groups."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd
from types import MappingProxyType
from typing import Any, Self

from search_spaces import fields
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Concat
from search_spaces.operations.operation import (
    MAX_CHANNELS,
    Lowering,
    Operation,
    Problem,
    clipped_window,
    largest_groups,
    register,
    window_problem,
)
from search_spaces.validation import is_count

KERNELS = (3, 5, 7, 9)
# Groups of each level: the paper's PyConv, and PyConvHG with its larger ones.
GROUP_SETS = {"plain": (1, 4, 8, 16), "heavy": (32, 64, 64, 64), "heaviest": (32, 32, 32, 32)}
MOST_LEVELS = 4


@register("pyramid")
@dataclass(frozen=True, slots=True)
class Pyramid(Operation):
    """Convolutions of several kernels side by side (Duta et al. 2020, arXiv:2006.11538), concatenated.

    Level i has `kernels[i]` along all axes, `level_groups[i]` groups and its share of the channels: an equal
    one where `shares` is not given. The authors' code gives three levels 1, 1 and 2.
    """

    searched = MappingProxyType(
        {
            "levels": fields.whole(4, 1, MOST_LEVELS),
            "group_set": fields.one_of(*GROUP_SETS),
            "split": fields.one_of("equal", "half"),
        }
    )

    kernels: Any = KERNELS
    level_groups: Any = GROUP_SETS["plain"]
    shares: Any = None

    @classmethod
    def is_asked(cls, name: str, values: Mapping[str, Any]) -> bool:
        return name != "split" or values["levels"] == 3

    @classmethod
    def drawn(cls, channels: int, values: Mapping[str, Any]) -> Self:
        levels = values["levels"]
        shares = (1, 1, 2) if levels == 3 and values.get("split") == "half" else (1,) * levels
        return cls(channels, KERNELS[:levels], GROUP_SETS[values["group_set"]][:levels], shares)

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Pyramid":
        kernels, groups = _tupled(self.kernels), _tupled(self.level_groups)
        count = len(kernels) if isinstance(kernels, tuple) else 1
        shares = (1,) * count if self.shares is None else _tupled(self.shares)
        return replace(self, kernels=kernels, level_groups=groups, shares=_reduced(shares))

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        return (
            self._lists_problem()
            or next(filter(None, (window_problem((kernel,), 1, 1) for kernel in self.kernels)), None)
            or self._groups_problem(in_channels)
        )

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "Pyramid":
        """Clip kernels to the map, and leave each level the groups that its channels allow."""
        shares = self.shares if self.channels % sum(self.shares) == 0 else self._whole_shares()
        count = len(shares)
        kernels = tuple(clipped_window(kernel, 1, (min(size),))[0][0] for kernel in self.kernels[:count])
        widths = [share * self.channels // sum(shares) for share in shares]
        groups = tuple(
            largest_groups(level, in_channels, width)
            for level, width in zip(self.level_groups, widths, strict=False)
        )
        return replace(self, kernels=kernels, level_groups=groups, shares=shares)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        axes = len(graph.shape(node)) - 1
        levels = zip(self.kernels, self.level_groups, self.widths, strict=True)
        maps = [
            graph.add(f"{name}.level{number}", Convolution(width, (kernel,) * axes, stride, groups), node)
            for number, (kernel, groups, width) in enumerate(levels, start=1)
        ]
        return maps[0] if len(maps) == 1 else graph.add(f"{name}.concat", Concat(), *maps)

    @property
    def sees_neighbours(self) -> bool:
        return bool(max(self.kernels) > 1)

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [share * self.channels // sum(self.shares) for share in self.shares]

    def _lists_problem(self) -> Problem | None:
        count = len(self.kernels) if isinstance(self.kernels, tuple) else 0
        if not 1 <= count <= MOST_LEVELS:
            return "kernels", self.kernels, f"a list of 1 to {MOST_LEVELS} odd numbers"
        for name, values in (("level_groups", self.level_groups), ("shares", self.shares)):
            is_list = isinstance(values, tuple) and len(values) == count
            if not is_list or not all(is_count(value, MAX_CHANNELS) for value in values):
                return name, values, f"a list of {count} whole numbers, one a kernel"
        if self.channels % sum(self.shares):
            return "shares", self.shares, f"shares whose sum divides {self.channels} channels"
        return None

    def _groups_problem(self, in_channels: int) -> Problem | None:
        for groups, width in zip(self.level_groups, self.widths, strict=True):
            if in_channels % groups or width % groups:
                return (
                    "level_groups",
                    self.level_groups,
                    f"divisors of {in_channels} and of {self.widths} channels",
                )
        return None

    def _whole_shares(self) -> tuple[int, ...]:
        """Return equal shares of as many levels as the channels can be parted into."""
        count = next(count for count in range(len(self.shares), 0, -1) if self.channels % count == 0)
        return (1,) * count


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _reduced(shares: Any) -> Any:
    """Return shares without a common factor: 2, 2, 4 are 1, 1, 2."""
    if not isinstance(shares, tuple) or not all(is_count(share, MAX_CHANNELS) for share in shares):
        return shares
    common = gcd(*shares)
    return tuple(share // common for share in shares)
