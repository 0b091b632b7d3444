"""Several small convolutions in place of one large one."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from search_spaces.layers.convolution import Convolution
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    register,
    repaired_window,
    window_problem,
)

LARGEST = 11


@register("stacked")
@dataclass(frozen=True, slots=True)
class Stacked(Operation):
    """3x3 convolutions in series that together see what a `kernel` sees.

    Two stand for 5x5, three for 7x7; along an axis that has seen enough a kernel is 1. Source: Simonyan &
    Zisserman 2015, arXiv:1409.1556, section 2.3.
    """

    has_inside: ClassVar[bool] = True

    kernel: Any = 5

    @property
    def is_linear(self) -> bool:
        # A map between two of them is padded by zeros, where one large kernel would have seen on.
        return bool(max(self.kernel) <= 3)

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Stacked":
        return replace(self, kernel=fitted_window(self.kernel, 1, len(size))[0])

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        return window_problem(self.kernel, 1, len(size), LARGEST)

    def repaired(self, in_channels: int, size: tuple[int, ...]) -> "Stacked":
        # The kernel may be drawn from choices meant for other operations too.
        return repaired_window(replace(self, kernel=_at_most(self.kernel, LARGEST)), size)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        count = max(1, max(self.kernel) // 2)
        for step in range(count):
            kernel = tuple(3 if side // 2 > step else 1 for side in self.kernel)
            layer = Convolution(self.channels, kernel, stride if step == 0 else 1)
            node = graph.add(f"{name}.conv{step + 1}", layer, node)
            if step + 1 < count:
                node = graph.activate(f"{name}.conv{step + 1}", node)
        return node


def _at_most(kernel: int | tuple[int, ...], largest: int) -> int | tuple[int, ...]:
    if isinstance(kernel, int):
        return min(kernel, largest)
    return tuple(min(side, largest) for side in kernel)
