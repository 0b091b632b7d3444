"""Pooling, batch normalisation and activation as one differentiable operation of a processor's core."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.training.fused.chain import Chain, Operation
from workers.training.fused.cpu import kernels

Floats = NDArray[np.float32]
# What maps may be of: kernels are given addresses, and ask nothing.
IS_BF16 = {torch.bfloat16: True, torch.float32: False}


def run(chain: Chain, x: Tensor) -> Tensor:
    """Return (B, C, H', W') of x (B, C, H, W), as `Operation` says."""
    return chain.computed_by(_Fused, x)


def try_out(device: torch.device) -> None:
    """Compile one kernel; the others wait for networks that have such layers."""
    run(Chain(is_pooled=True, norm=None), torch.zeros(2, 16, 4, 4, dtype=torch.bfloat16, device=device))


OPERATION = Operation(run, kernels.FUNCTIONS, try_out)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, chain: Chain) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.chain, ctx.shape = chain, x.shape
        pooled, argmax, summing = _pooled(chain, x)
        if chain.norm is None:
            ctx.save_for_backward(None, argmax)
            return pooled
        assert weight is not None
        assert bias is not None
        mean, ctx.inverse = _statistics(chain.norm, summing, pooled.numel() // x.shape[1])
        scaled = (mean, ctx.inverse * weight.detach().numpy(), bias.detach().numpy())
        ctx.vectors = np.stack(scaled, dtype=np.float32)
        y = torch.empty_like(pooled)
        kernel = kernels.normalise(*_form(x, kernels.WIDEST_ROW), chain.activation)
        kernel(*_addresses(pooled, y, ctx.vectors), *_rows(pooled))
        ctx.save_for_backward(pooled, argmax)
        return y

    @staticmethod
    @np.errstate(all="ignore")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        pooled, argmax = ctx.saved_tensors
        chain: Chain = ctx.chain
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        if chain.norm is None:
            return _unpooled(chain, ctx.shape, argmax, gradient), None, None, None
        rows, channels = _rows(gradient)
        sums, partial = np.zeros((2, channels), np.float32), np.empty((2, channels), np.float32)
        kernel = kernels.sum_gradients(*_form(gradient, kernels.WIDEST_ROW), chain.activation)
        kernel(*_addresses(pooled, gradient, ctx.vectors, sums, partial), rows, channels)
        total, products = sums[0], sums[1] * ctx.inverse
        of_x = None
        if ctx.needs_input_grad[0]:
            means = np.stack((total, products * ctx.inverse)) / np.float32(rows)
            vectors = np.concatenate((ctx.vectors, means))
            if chain.is_pooled:
                of_x = _unpooled(chain, ctx.shape, argmax, gradient, pooled, vectors)
            else:
                of_x = torch.empty_like(gradient)
                kernel = kernels.input_gradient(*_form(gradient, kernels.WIDEST_ROW), chain.activation)
                kernel(*_addresses(gradient, of_x, pooled, vectors), rows, channels)
        return of_x, torch.from_numpy(products), torch.from_numpy(total), None


def _pooled(chain: Chain, x: Tensor) -> tuple[Tensor, Tensor | None, tuple[Floats, ...]]:
    """Return a map that is pooled if it should be, where the largest were, and what `_statistics` needs."""
    summing: tuple[Floats, ...] = ()
    if chain.norm is not None:
        sums = np.zeros((2, x.shape[1]), np.float32)
        summing = (_first(x, chain.is_pooled), sums, np.empty_like(sums))
    if not chain.is_pooled:
        kernel = kernels.sum_up(*_form(x, kernels.WIDEST_ROW))
        kernel(*_addresses(x, *summing), *_rows(x))
        return x, None, summing
    lines, columns = x.shape[2] // 2, x.shape[3] // 2
    pooled, argmax = (_map((*x.shape[:2], lines, columns), dtype) for dtype in (x.dtype, torch.int8))
    kernel = kernels.pool(*_form(x, kernels.WIDEST_WINDOW), bool(summing))
    kernel(*_addresses(x, pooled, argmax, *summing), *_lines(x.shape))
    return pooled, argmax, summing


def _first(x: Tensor, is_pooled: bool) -> Floats:
    """Return a value of each channel: sums of squares less it stay exact where a mean is far from zero."""
    side = 2 if is_pooled else 1
    values: Floats = x[0, :, :side, :side].float().amax((1, 2)).numpy()
    return values


@np.errstate(all="ignore")
def _statistics(norm: nn.BatchNorm2d, summed: tuple[Floats, ...], rows: int) -> tuple[Floats, Floats]:
    """Return mean and 1 / deviation of each channel (C,), and move the running ones towards them."""
    first, sums, _ = summed
    shift = sums[0] / np.float32(rows)
    mean = first + shift
    variance = np.maximum(sums[1] / np.float32(rows) - shift * shift, np.float32(0))
    unbiased = variance * np.float32(rows / (rows - 1))
    assert norm.momentum is not None
    for running, new in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        assert running is not None
        running.lerp_(torch.from_numpy(new), norm.momentum)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    return mean, 1 / np.sqrt(variance + np.float32(norm.eps))


def _unpooled(chain: Chain, shape: torch.Size, argmax: Tensor, gradient: Tensor, *normalised: Any) -> Tensor:
    """Return (B, C, H, W): the gradient of what was pooled; `normalised` are its pooled map and vectors."""
    of_x = _map(shape, gradient.dtype)
    if shape[2] % 2 or shape[3] % 2:
        # What lies beyond the last whole window has no gradient.
        of_x.zero_()
    kernel = kernels.unpool(*_form(gradient, kernels.WIDEST_WINDOW), chain.activation, bool(normalised))
    kernel(*_addresses(gradient, argmax, of_x, *normalised), *_lines(shape))
    return of_x


def _form(x: Tensor, widest: int) -> tuple[bool, int]:
    """Return a map's type and lanes."""
    return IS_BF16[x.dtype], kernels.lanes_of(x.shape[1], widest)


def _rows(x: Tensor) -> tuple[int, int]:
    """Return rows and channels of a map."""
    channels = x.shape[1]
    return x.numel() // channels, channels


def _lines(shape: torch.Size) -> tuple[int, int, int, int]:
    """Return lines of all pooled maps, and height, width and channels of what is pooled."""
    count, channels, height, width = shape
    return count * (height // 2), height, width, channels


def _map(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return an empty map with channels last."""
    return torch.empty(tuple(shape), dtype=dtype, memory_format=torch.channels_last)


def _addresses(*of: Tensor | Floats) -> list[int]:
    return [one.data_ptr() if isinstance(one, Tensor) else one.ctypes.data for one in of]
