"""Deformable convolution: taps that move with the input."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from search_spaces.layers.convolution import Convolution
from search_spaces.layers.deformable import DeformableConvolution
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    groups_problem,
    register,
    repaired_groups,
    repaired_window,
    window_problem,
)

LARGEST = 5


@register("deformable")
@dataclass(frozen=True, slots=True)
class Deformable(Operation):
    """Deformable convolution (Dai et al. 2017, arXiv:1703.06211), 2-D, kernel 3 or 5.

    A convolution of the same kernel computes the offsets; its weights start at zero, on the regular grid.
    """

    axes: ClassVar[tuple[int, ...]] = (2,)

    kernel: Any = 3
    groups: int = 1

    @property
    def is_linear(self) -> bool:
        return False

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Deformable":
        return replace(self, kernel=fitted_window(self.kernel, 1, len(size))[0])

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        grouped = groups_problem(self.groups, in_channels, self.channels)
        return grouped or window_problem(self.kernel, 1, len(size), LARGEST)

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "Deformable":
        sides = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * len(size)
        small = replace(self, kernel=tuple(min(side, LARGEST) for side in sides))
        return repaired_window(repaired_groups(small, in_channels), size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        taps = prod(self.kernel)
        guide = Convolution(2 * taps, self.kernel, stride, bias=True, starts_at_zero=True)
        offsets = graph.add(f"{name}.offset", guide, node)
        layer = DeformableConvolution(self.channels, self.kernel, stride, self.groups)
        return graph.add(f"{name}.sampled", layer, node, offsets)
