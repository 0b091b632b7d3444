"""Pooling, batch normalisation and activation as one differentiable operation of a GPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.layers.pointwise import ACTIVATIONS
from workers.training.fused.chain import Chain, Operation
from workers.training.fused.cuda import kernels

TILE = {"ROWS": kernels.ROWS, "CHANNELS": kernels.CHANNELS}
SUMS = {"PARTS": kernels.PARTS, "CHANNELS": kernels.CHANNELS, "num_warps": 8}
# Programs of all blocks of channels together keep a GPU busy; fewer parts are added up sooner.
FEWEST_PARTS = 64


def run(chain: Chain, x: Tensor) -> Tensor:
    """Return (B, C, H', W') of x (B, C, H, W), as `Operation` says."""
    return chain.computed_by(_Fused, x)


def try_out(device: torch.device) -> None:
    """Compile the usual kernels."""
    norm = nn.BatchNorm2d(16, device=device)
    for chain in (
        Chain(is_pooled=True, norm=None),
        Chain(is_pooled=True, norm=norm),
        Chain(is_pooled=True, norm=norm, activation="relu"),
        Chain(is_pooled=False, norm=norm, activation="relu"),
    ):
        x = torch.zeros(2, 16, 4, 4, dtype=torch.bfloat16, device=device, requires_grad=True)
        run(chain, x).sum().backward()  # type: ignore[no-untyped-call]


OPERATION = Operation(run, ("none", *ACTIVATIONS), try_out)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How a map (B, C, H, W) is cut into rows, and these into parts."""

    shape: torch.Size
    is_pooled: bool

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the map that comes out."""
        return tuple(side // 2 if self.is_pooled else side for side in self.shape[2:])

    @property
    def rows(self) -> int:
        return self.shape[0] * self.sides[0] * self.sides[1]

    @property
    def tiles(self) -> int:
        return -(-self.rows // kernels.ROWS)

    @property
    def parts(self) -> int:
        return min(self.tiles, max(FEWEST_PARTS, kernels.PARTS // self.blocks))

    @property
    def blocks(self) -> int:
        """Of channels."""
        return -(-self.shape[1] // kernels.CHANNELS)

    def map(self, like: Tensor, sides: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
        """Return an empty map with channels last."""
        shape = (*self.shape[:2], *sides)
        return torch.empty(
            shape, dtype=dtype or like.dtype, device=like.device, memory_format=torch.channels_last
        )

    def sums(self, like: Tensor) -> Tensor:
        """Return room for two sums of each part and channel."""
        return like.new_empty((self.parts, 2, self.shape[1]), dtype=torch.float32)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, chain: Chain) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        sizes = _Sizes(x.shape, chain.is_pooled)
        _, channels, height, width = x.shape
        pooled = sizes.map(x, sizes.sides) if chain.is_pooled else x
        argmax = sizes.map(x, sizes.sides, torch.int8) if chain.is_pooled else None
        sums = sizes.sums(x) if chain.norm else None
        kernels.pool[sizes.parts, sizes.blocks](
            x, pooled, argmax, sums, sizes.rows, height, width, channels,
            IS_POOLED=chain.is_pooled, IS_SUMMED=chain.norm is not None, **TILE,
        )  # fmt: skip
        ctx.chain, ctx.sizes = chain, sizes
        if chain.norm is None:
            ctx.save_for_backward(None, argmax, None, None, None)
            return pooled
        norm, statistics = chain.norm, x.new_empty((2, channels), dtype=torch.float32)
        kernels.moments[(sizes.blocks,)](
            pooled, sums, statistics, norm.running_mean, norm.running_var, norm.num_batches_tracked,
            sizes.parts, sizes.rows, channels, norm.momentum, norm.eps, **SUMS,
        )  # fmt: skip
        y = torch.empty_like(pooled)
        kernels.normalise[sizes.tiles, sizes.blocks](
            pooled, y, statistics, weight, bias, sizes.rows, channels, FUNCTION=chain.activation, **TILE
        )
        ctx.save_for_backward(pooled, argmax, statistics, weight, bias)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        pooled, argmax, statistics, weight, bias = ctx.saved_tensors
        chain, sizes = ctx.chain, ctx.sizes
        _, channels, height, width = sizes.shape
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_weight = of_bias = None
        if chain.norm is not None:
            of_weight, of_bias, sums = torch.empty_like(weight), torch.empty_like(bias), sizes.sums(gradient)
            kernels.sum_gradients[sizes.parts, sizes.blocks](
                pooled, gradient, statistics, weight, bias, sums, sizes.rows, channels,
                FUNCTION=chain.activation, **TILE,
            )  # fmt: skip
            kernels.add_gradients[(sizes.blocks,)](sums, of_weight, of_bias, sizes.parts, channels, **SUMS)
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        of_x = sizes.map(gradient, (height, width))
        if chain.is_pooled and (height % 2 or width % 2):
            # What lies beyond the last whole window has no gradient.
            of_x.zero_()
        kernels.input_gradient[sizes.tiles, sizes.blocks](
            pooled, argmax, gradient, of_x, statistics, weight, bias, of_weight, of_bias,
            sizes.rows, height, width, channels, IS_POOLED=chain.is_pooled,
            IS_NORMALISED=chain.norm is not None, FUNCTION=chain.activation, **TILE,
        )  # fmt: skip
        return of_x, of_weight, of_bias, None
