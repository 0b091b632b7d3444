"""Weights of convolutions put where other convolutions, which compute the same, want them.

All weights of a network are placed at once, by one gather: convolution by convolution it would take some ten
kernels each, of a few microseconds, in every step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.training.convolutions.case import Case

# Where a convolution's weights begin, in elements: libraries read 16 bytes at once.
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions of the same map that are computed as one.

    One of them, in `groups` or fewer than its own, has zeros between those that were apart. Several are side
    by side, each in the middle of the largest kernel, and dense.
    """

    cases: tuple[Case, ...]
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps an axis: of each axis the most that any has."""
        return tuple(max(taps) for taps in zip(*(case.kernel for case in self.cases), strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """(O, C / groups, *K) of its weight."""
        outputs = sum(case.out_channels for case in self.cases)
        return (outputs, self.cases[0].in_channels // self.groups, *self.kernel)

    def places(self, numbers: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """Return (O, *K, C / groups) of the numbers of the weights' elements, -1 where there is none.

        Args:
            numbers: (O, *K, C / groups) of each case's own weight.
        """
        outputs, inputs, *kernel = self.shape
        wide = np.full((outputs, *kernel, inputs), -1)
        first = 0
        for case, own in zip(self.cases, numbers, strict=True):
            target = wide[first : first + case.out_channels]
            first += case.out_channels
            middle = [
                slice((most - taps) // 2, (most - taps) // 2 + taps)
                for most, taps in zip(kernel, case.kernel, strict=True)
            ]
            for group in range(case.groups):
                rows = slice(group * case.outputs_a_group, (group + 1) * case.outputs_a_group)
                start = group % (case.groups // self.groups) * case.inputs_a_group
                columns = slice(start, start + case.inputs_a_group)
                target[(rows, *middle, columns)] = own[rows]
        return wide


class Placing:
    """Gathers the weights of blocks from those of their convolutions.

    Args:
        blocks: Of convolutions over two axes.
        device: Where the weights are.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device) -> None:
        self.cases = [case for block in blocks for case in block.cases]
        self.shapes = [block.shape for block in blocks]
        sizes = [int(np.prod(case.weight_shape)) for case in self.cases]
        starts = np.cumsum([0, *sizes])
        numbers = iter(
            np.arange(start, start + size).reshape(_last(case.weight_shape))
            for case, start, size in zip(self.cases, starts, sizes, strict=False)
        )
        wide = [block.places([next(numbers) for _ in block.cases]).ravel() for block in blocks]
        # What has no weight reads the zero behind all of them.
        zero = int(starts[-1])
        index = [np.append(places, np.full(-len(places) % ALIGNMENT, -1)) for places in wide]
        self._index = torch.from_numpy(np.where((all_ := np.concatenate(index)) < 0, zero, all_)).to(device)
        self._parts = [len(places) for places in index]
        gradients = np.concatenate(wide)
        positions = np.empty(zero, dtype=np.int64)
        positions[gradients[gradients >= 0]] = np.nonzero(gradients >= 0)[0]
        self._positions = torch.from_numpy(positions).to(device)
        self._sizes, self._zero = sizes, torch.zeros(1, device=device)

    def placed(self, weights: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the blocks' weights, channels last, from those of all cases; gradients go back."""
        found: tuple[Tensor, ...] = _Placed.apply(self, dtype, *weights)  # type: ignore[no-untyped-call]
        return found

    def forth(self, weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Gather the blocks' weights."""
        flat = torch.cat([*(_row(weight) for weight in weights), self._zero])
        parts = torch.split(flat.to(dtype).index_select(0, self._index), self._parts)
        return [_unrolled(part, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def back(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Gather the cases' gradients from those of the blocks."""
        flat = torch.cat([_row(gradient) for gradient in gradients])
        parts = torch.split(flat.index_select(0, self._positions).to(dtype), self._sizes)
        return [_unrolled(part, case.weight_shape) for part, case in zip(parts, self.cases, strict=True)]


class _Placed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, placing: Placing, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.placing, ctx.dtype = placing, weights[0].dtype
        return tuple(placing.forth(weights, dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.placing.back(gradients, ctx.dtype))


def _last(shape: Sequence[int]) -> tuple[int, ...]:
    """Return (O, *K, C) of (O, C, *K): the order of memory with channels last."""
    return (shape[0], *shape[2:], shape[1])


def _row(weight: Tensor) -> Tensor:
    """See (O, C, *K) as it lies in memory, with channels last, in one row."""
    return weight.movedim(1, -1).reshape(-1)


def _unrolled(row: Tensor, shape: Sequence[int]) -> Tensor:
    """See the beginning of a row as (O, C, *K) with channels last."""
    last = _last(shape)
    return row[: int(np.prod(last))].view(last).movedim(-1, 1)
