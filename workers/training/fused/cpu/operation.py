"""Pooling, batch normalisation and activation as one differentiable operation of a processor's core."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.training.fused.chain import Chain, Operation
from workers.training.fused.cpu import kernels

Vector = NDArray[np.float32]
EMPTY: Vector = np.empty(0, np.float32)


def run(chain: Chain, x: Tensor) -> Tensor:
    """Return (B, C, H', W') of x (B, C, H, W), as `Operation` says."""
    return chain.computed_by(_Fused, x)


def try_out(device: torch.device) -> None:
    """Compile one kernel; the others wait for networks that have such layers."""
    run(Chain(is_pooled=True, norm=None), torch.zeros(2, 16, 4, 4, dtype=torch.bfloat16, device=device))


OPERATION = Operation(run, tuple(kernels.FUNCTIONS), try_out)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, chain: Chain) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.chain, ctx.shape = chain, x.shape
        pooled, argmax, first, sums = _pooled(chain, x)
        if chain.norm is None:
            ctx.save_for_backward(None, argmax)
            return pooled
        assert weight is not None
        assert bias is not None
        channels = x.shape[1]
        mean, ctx.inverse = _statistics(chain.norm, first, sums, pooled.numel() // channels)
        ctx.vectors = (mean, ctx.inverse * weight.detach().numpy(), bias.detach().numpy().copy())
        y = torch.empty_like(pooled)
        kernel = kernels.normalise(*_form(chain, channels))
        kernel(_flat(pooled), _flat(y), ctx.vectors, channels)
        ctx.save_for_backward(pooled, argmax)
        return y

    @staticmethod
    @np.errstate(all="ignore")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        pooled, argmax = ctx.saved_tensors
        chain: Chain = ctx.chain
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        if chain.norm is None:
            return _input_gradient(chain, ctx.shape, None, argmax, gradient, [EMPTY] * 5), None, None, None
        channels = gradient.shape[1]
        sums = np.zeros(2 * channels, np.float32)
        kernel = kernels.sum_gradients(*_form(chain, channels))
        kernel(_flat(pooled), _flat(gradient), ctx.vectors, sums, channels)
        total, products = sums[:channels], sums[channels:] * ctx.inverse
        of_x = None
        if ctx.needs_input_grad[0]:
            rows = np.float32(gradient.numel() // channels)
            vectors = (*ctx.vectors, total / rows, products * ctx.inverse / rows)
            of_x = _input_gradient(chain, ctx.shape, pooled, argmax, gradient, vectors)
        return of_x, torch.from_numpy(products), torch.from_numpy(total), None


def _pooled(chain: Chain, x: Tensor) -> tuple[Tensor, Tensor | None, Vector, Vector]:
    """Return a map that is pooled if it should be, where the largest were, and what `_statistics` needs."""
    _, channels, height, width = x.shape
    sums = np.zeros(2 * channels, np.float32)
    first = _first(x, chain.is_pooled) if chain.norm else EMPTY
    if not chain.is_pooled:
        kernels.sum_up(_form(chain, channels)[0])(_flat(x), first, sums, channels)
        return x, None, first, sums
    pooled, argmax = (_map(x, height // 2, width // 2, dtype) for dtype in (x.dtype, torch.int8))
    kernel = kernels.pool(kernels.lanes_of(channels, kernels.WIDEST_WINDOW), chain.norm is not None)
    kernel(_flat(x), _flat(pooled), _flat(argmax), first, sums, height, width, channels)
    return pooled, argmax, first, sums


def _first(x: Tensor, is_pooled: bool) -> Vector:
    """Return a value of each channel: sums of squares less it stay exact where a mean is far from zero."""
    side = 2 if is_pooled else 1
    values: Vector = x[0, :, :side, :side].float().amax((1, 2)).numpy()
    return values


@np.errstate(all="ignore")
def _statistics(norm: nn.BatchNorm2d, first: Vector, sums: Vector, rows: int) -> tuple[Vector, Vector]:
    """Return mean and 1 / deviation of each channel, and move the running ones towards them."""
    channels = len(first)
    shift = sums[:channels] / np.float32(rows)
    mean = first + shift
    variance = np.maximum(sums[channels:] / np.float32(rows) - shift * shift, np.float32(0))
    unbiased = variance * np.float32(rows / (rows - 1))
    assert norm.momentum is not None
    for running, new in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        assert running is not None
        running.lerp_(torch.from_numpy(new), norm.momentum)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    return mean, 1 / np.sqrt(variance + np.float32(norm.eps))


def _input_gradient(
    chain: Chain,
    shape: torch.Size,
    pooled: Tensor | None,
    argmax: Tensor | None,
    gradient: Tensor,
    vectors: tuple[Vector, ...] | list[Vector],
) -> Tensor:
    """Return (B, C, H, W): the gradient of what a chain was given."""
    _, channels, height, width = shape
    of_x = _map(gradient, height, width, gradient.dtype)
    arrays = (_flat(pooled) if pooled is not None else EMPTY, _flat(gradient), tuple(vectors))
    lanes, function = _form(chain, channels)
    if argmax is None:
        kernels.input_gradient(lanes, function)(*arrays, _flat(of_x), channels)
        return of_x
    if height % 2 or width % 2:
        # What lies beyond the last whole window has no gradient.
        of_x.zero_()
    lanes = kernels.lanes_of(channels, kernels.WIDEST_WINDOW)
    kernel = kernels.unpool(lanes, function, chain.norm is not None)
    kernel(*arrays, _flat(argmax), _flat(of_x), height, width, channels)
    return of_x


def _form(chain: Chain, channels: int) -> tuple[int, int]:
    """Return lanes and activation of the kernels that pass rows."""
    return kernels.lanes_of(channels, kernels.WIDEST_ROW), kernels.FUNCTIONS[chain.activation]


def _map(like: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Return an empty map with channels last."""
    shape = (*like.shape[:2], height, width)
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def _flat(x: Tensor) -> NDArray[Any]:
    """Return the memory of a map with channels last, bfloat16 as uint16."""
    # A view and never a copy: what a kernel writes must arrive.
    x = x.detach().permute(0, 2, 3, 1).view(-1)
    array: NDArray[Any] = (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
    return array
