"""Pooling as an operation of a branch, and the identity."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from search_spaces import fields
from search_spaces.layers.reduction import Pool as PoolLayer
from search_spaces.operations.operation import (
    Lowering,
    Operation,
    Problem,
    fitted_window,
    register,
    window_problem,
)

FUNCTIONS = ("max", "avg")


def _channels_problem(channels: int, in_channels: int) -> Problem | None:
    return None if channels == in_channels else ("channels", channels, f"{in_channels}, as many as come in")


@register("pool")
@dataclass(frozen=True, slots=True)
class Pool(Operation):
    """Maximum or average of a window around each position (Szegedy et al. 2015, arXiv:1409.4842)."""

    keeps_channels: ClassVar[bool] = True
    searched = MappingProxyType({"function": fields.one_of(*FUNCTIONS)})

    channels: Any = None
    kernel: Any = 3
    function: str = "max"

    @property
    def is_linear(self) -> bool:
        # An average divides by fewer positions at the border, which no convolution does.
        return False

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Pool":
        kernel, _ = fitted_window(self.kernel, 1, len(size))
        channels = in_channels if self.channels is None else self.channels
        return replace(self, kernel=kernel, channels=channels)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        if self.function not in FUNCTIONS:
            return "function", self.function, ", ".join(FUNCTIONS)
        wide = _channels_problem(self.channels, in_channels)
        return wide or window_problem(self.kernel, 1, len(size))

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        return graph.add(name, PoolLayer(self.function, self.kernel, stride), node)


@register("identity")
@dataclass(frozen=True, slots=True)
class Identity(Operation):
    """The input itself; in a stage that strides, every other position of it."""

    keeps_channels: ClassVar[bool] = True

    channels: Any = None

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Identity":
        return replace(self, channels=in_channels if self.channels is None else self.channels)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        return _channels_problem(self.channels, in_channels)

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        return node if stride == 1 else graph.add(name, PoolLayer("max", 1, stride), node)
