"""Convolution: standard, grouped, shuffled, dilated, asymmetric."""

from collections.abc import Mapping
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
    flag_problem,
    groups_problem,
    register,
    window_problem,
)

SHUFFLES = ("none", "before", "after")


@register("conv")
@dataclass(frozen=True, slots=True)
class Conv(Operation):
    """A convolution; `kernel` is one odd number, or one an axis for asymmetric kernels such as [3, 1].

    A grouped one may mix its groups by a channel shuffle before or after it (Zhang et al. 2018,
    arXiv:1707.01083).
    """

    can_be_asymmetric: ClassVar[bool] = True
    searched = MappingProxyType({"shuffle": fields.one_of(*SHUFFLES)})

    kernel: Any = 3
    groups: int = 1
    dilation: int = 1
    # Without effect before batch norm, which has a bias of its own.
    bias: bool = False
    shuffle: str = "none"

    @classmethod
    def is_asked(cls, name: str, values: Mapping[str, Any]) -> bool:
        return name != "shuffle" or values["groups"] > 1

    def fitted(self, in_channels: int, size: tuple[int, ...]) -> "Conv":
        kernel, dilation = fitted_window(self.kernel, self.dilation, len(size))
        shuffle = "none" if self.groups == 1 and self.shuffle in SHUFFLES else self.shuffle
        if (kernel, dilation, shuffle) == (self.kernel, self.dilation, self.shuffle):
            return self
        return replace(self, kernel=kernel, dilation=dilation, shuffle=shuffle)

    def problem(self, in_channels: int, size: tuple[int, ...]) -> Problem | None:
        problem = groups_problem(self.groups, in_channels, self.channels) or flag_problem("bias", self.bias)
        if problem:
            return problem
        if self.shuffle not in SHUFFLES:
            return "shuffle", self.shuffle, ", ".join(SHUFFLES)
        return window_problem(self.kernel, self.dilation, len(size))

    def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
        layer = Convolution(self.channels, self.kernel, stride, self.groups, self.dilation, self.bias)
        if self.shuffle == "none":
            return graph.add(name, layer, node)
        mix = Shuffle(self.groups)
        if self.shuffle == "before":
            return graph.add(name, layer, graph.add(f"{name}_shuffle", mix, node))
        return graph.add(f"{name}_shuffle", mix, graph.add(name, layer, node))
