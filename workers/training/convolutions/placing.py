"""Weights of convolutions put where other convolutions, which compute the same, want them.

All weights of a network are placed at once: to cast, widen and put them side by side one convolution after
the other would take several kernels of a few microseconds each, in every step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
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

    @property
    def size(self) -> int:
        """Elements of its weight, zeros included."""
        return prod(self.shape)

    def positions(self) -> Iterator[np.ndarray[Any, Any]]:
        """Yield for each case where in this block's weight the elements of its own lie; channels last."""
        _, inputs, height, width = self.shape
        first = 0
        for case in self.cases:
            rows, taps_down, taps_across, columns = np.ogrid[tuple(slice(side) for side in _last(case))]
            down, across = ((most - taps) // 2 for most, taps in zip(self.kernel, case.kernel, strict=True))
            group = rows // case.outputs_a_group % (case.groups // self.groups)
            line = ((first + rows) * height + down + taps_down) * width + across + taps_across
            yield (line * inputs + group * case.inputs_a_group + columns).ravel()
            first += case.out_channels


class Placing:
    """Puts the weights of convolutions into those of the blocks that compute them.

    Args:
        blocks: Of convolutions over two axes.
        device: Where the weights are.
    """

    def __init__(self, blocks: Sequence[Block], device: torch.device) -> None:
        self.blocks = tuple(blocks)
        self.cases = [case for block in blocks for case in block.cases]
        self._room = [-(-block.size // ALIGNMENT) * ALIGNMENT for block in blocks]
        self._sizes = [prod(case.weight_shape) for case in self.cases]
        # Of each element of the weights, in a row of all blocks with room for alignment, and in one without.
        self._positions = _in_a_row(blocks, self._room).to(device)
        self._origins = _in_a_row(blocks, [block.size for block in blocks]).to(device)

    def placed(self, weights: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the blocks' weights, channels last, from those of all cases; gradients go back.

        A block of frozen weights alone has no gradient.
        """
        found: tuple[Tensor, ...] = _Placed.apply(self, dtype, *weights)  # type: ignore[no-untyped-call]
        return found

    def forward(self, weights: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Return the blocks' weights."""
        flat = torch.cat([_row(weight) for weight in weights]).to(dtype)
        row = flat.new_zeros(sum(self._room)).index_copy_(0, self._positions, flat)
        parts = torch.split(row, self._room)
        return [_unrolled(part, block.shape) for part, block in zip(parts, self.blocks, strict=True)]

    def backward(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Return the gradients of the cases' weights from those of the blocks'."""
        row = torch.cat([_row(gradient) for gradient in gradients])
        parts = torch.split(row.index_select(0, self._origins).to(dtype), self._sizes)
        return [_unrolled(part, case.weight_shape) for part, case in zip(parts, self.cases, strict=True)]

    def frozen(self, are_trained: Sequence[bool]) -> list[bool]:
        """Return of each block whether none of its cases' weights is trained."""
        trained = iter(are_trained)
        # All are taken, also behind one that is trained.
        return [not any(tuple(next(trained) for _ in block.cases)) for block in self.blocks]


class _Placed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, placing: Placing, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.placing, ctx.dtype = placing, weights[0].dtype
        placed = placing.forward(weights, dtype)
        frozen = placing.frozen(ctx.needs_input_grad[2:])
        ctx.mark_non_differentiable(
            *(weight for weight, is_out in zip(placed, frozen, strict=True) if is_out)
        )
        return tuple(placed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.placing.backward(gradients, ctx.dtype))


def _in_a_row(blocks: Sequence[Block], room: Sequence[int]) -> Tensor:
    """Return the positions of all weights' elements in a row of blocks that each have so much room."""
    starts = accumulate(room, initial=0)
    found = [start + own for start, block in zip(starts, blocks, strict=False) for own in block.positions()]
    return torch.from_numpy(np.concatenate(found))


def _last(case: Case) -> tuple[int, ...]:
    """Return (O, *K, C / groups) of a case's weight: its order in memory with channels last."""
    outputs, inputs, *kernel = case.weight_shape
    return (outputs, *kernel, inputs)


def _row(weight: Tensor) -> Tensor:
    """See (O, C, *K) as it lies in memory, with channels last, in one row."""
    return weight.movedim(1, -1).reshape(-1)


def _unrolled(row: Tensor, shape: Sequence[int]) -> Tensor:
    """See the beginning of a row as (O, C, *K) with channels last."""
    outputs, inputs, *kernel = shape
    return row[: prod(shape)].view(outputs, *kernel, inputs).movedim(-1, 1)
