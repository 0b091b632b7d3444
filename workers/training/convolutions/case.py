"""A grouped convolution as training meets it, and the ways to compute each of its three passes."""

from dataclasses import dataclass
from typing import Literal

import torch

Pass = Literal["forward", "input_gradient", "weight_gradient"]
PASSES: tuple[Pass, ...] = ("forward", "input_gradient", "weight_gradient")
Kind = Literal["grouped", "depthwise", "reversed", "swapped"]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Blocks of channels that vectorised kernels are made for.
BLOCK = 16
# A depthwise form computes every pair of channels by itself; beyond so many outputs a group it never wins.
MOST_REPEATS = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A convolution in groups, padded so that only its stride shrinks the map.

    `batch` and `size` (one number a spatial axis) are those of its input.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    stride: int
    dilation: tuple[int, ...]
    groups: int
    size: tuple[int, ...]
    batch: int

    @property
    def axes(self) -> int:
        return len(self.kernel)

    @property
    def padding(self) -> list[int]:
        return [step * (size - 1) // 2 for size, step in zip(self.kernel, self.dilation, strict=True)]

    @property
    def inputs_a_group(self) -> int:
        return self.in_channels // self.groups

    @property
    def outputs_a_group(self) -> int:
        return self.out_channels // self.groups

    @property
    def is_depthwise(self) -> bool:
        return self.inputs_a_group == self.outputs_a_group == 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.inputs_a_group, *self.kernel)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to compute a pass; all are exact rearrangements of the same sums.

    `grouped`: the library's own kernel, in so many groups: fewer than the convolution has mean wider ones
    padded with zeros. `depthwise` (forward): one filter for each pair of channels, then a sum over pairs.
    `reversed` (input gradient): a forward pass of the output's gradient with mirrored filters. `swapped`
    (weight gradient): the input stands for the output's gradient and the other way round.
    """

    kind: Kind
    groups: int
    precision: Literal["fp32", "bf16"]

    @property
    def dtype(self) -> torch.dtype:
        return TYPES[self.precision]


@dataclass(frozen=True, slots=True)
class Plan:
    """The form of each pass."""

    forward: Form
    input_gradient: Form
    weight_gradient: Form


def forms(case: Case, which: Pass, precisions: tuple[Literal["fp32", "bf16"], ...]) -> list[Form]:
    """Return the ways that are worth measuring, the plain one first."""
    counts = _group_counts(case)
    found = []
    for precision in precisions:
        found += [Form("grouped", count, precision) for count in counts]
        if which == "forward" and not case.is_depthwise and case.outputs_a_group <= MOST_REPEATS:
            found.append(Form("depthwise", case.groups, precision))
        if case.stride == 1 and which == "input_gradient":
            found += [Form("reversed", count, precision) for count in counts]
        if case.stride == 1 and which == "weight_gradient" and not case.is_depthwise:
            found += [Form("swapped", count, precision) for count in counts]
    return found


def _group_counts(case: Case) -> list[int]:
    """Return the group counts to try: as it is, groups just as wide as a block on either side, and one."""
    if case.is_depthwise:
        return [case.groups]
    counts = {case.groups, 1}
    for channels in (case.in_channels, case.out_channels):
        wide = [count for count in _divisors(case.groups) if channels // count >= BLOCK]
        counts.add(max(wide, default=1))
    return sorted(counts, reverse=True)


def _divisors(number: int) -> list[int]:
    return [count for count in range(1, number + 1) if number % count == 0]
