"""Convolutions of images on a GPU: grouped ones run as dense ones, for large kernels forms are tried.

Of grouped convolutions cuDNN runs one group after the other, or compiles a kernel: for a depthwise one that
takes 1 s to 4 s in each thread, and each candidate brings shapes that were never met before. As a dense one,
with zeros between the groups, it takes 0.4 to 2 times as long a step and no compilation (H100, batches of
128; `benchmarks.gpu_convolutions`). For kernels of 5 and more taps an axis the form that cuDNN takes by
itself for the forward pass is up to five times slower than its best; trying a few of them takes 0.05 s.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workers.training.convolutions.case import Case
from workers.training.convolutions.cases import cases
from workers.training.convolutions.forms import widened
from workers.training.convolutions.replacing import forward_passes

# Beyond so many weights a tap, zeros included, a dense form costs more than it spares.
MOST_WEIGHTS = 2**15
# Taps of an axis from which on forms are tried: so many of cuDNN's best guesses.
LARGE = 5
GUESSES = 4


@contextmanager
def dense_convolutions(network: nn.Module) -> Iterator[None]:
    """Run the network's convolutions over two axes in these forms, for as long as it trains on a GPU.

    Weights, their names and, but for rounding, all results stay the same; afterwards the modules are as they
    were. A network that was not built from an architecture is left alone.
    """
    torch.backends.cudnn.benchmark_limit = GUESSES
    replacements = {
        module: _Replacement(module, case)
        for module, case in cases(network, 1)
        if case.axes == 2 and (_is_to_be_dense(case) or _is_large(case))
    }
    with forward_passes(replacements):
        yield


def _is_to_be_dense(case: Case) -> bool:
    return case.groups > 1 and case.in_channels * case.out_channels <= MOST_WEIGHTS


def _is_large(case: Case) -> bool:
    return max(case.kernel) >= LARGE


class _Replacement:
    """A module's forward pass."""

    def __init__(self, module: nn.Module, case: Case) -> None:
        self._module, self._case = module, case
        self._groups = 1 if _is_to_be_dense(case) else case.groups

    def __call__(self, x: Tensor) -> Tensor:
        case, weight, bias = self._case, self._module.weight, self._module.bias
        assert isinstance(weight, Tensor)
        # Cast before the weight is widened: half the bytes.
        x, weight = _as_autocast(x, x.device), _as_autocast(weight, x.device)
        # Inference, which validates, takes its few batches as they come.
        is_tried = torch.is_grad_enabled() and _is_large(case)
        wide = widened(case, weight, self._groups)
        cast_bias = _as_autocast(bias, x.device) if isinstance(bias, Tensor) else None
        return convolved(case, x, wide, cast_bias, self._groups, is_tried=is_tried)


def convolved(
    case: Case, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, *, is_tried: bool
) -> Tensor:
    """Return a case's output (B, O, *S').

    Args:
        case: Of the convolution as the architecture has it.
        x: (B, C, *S).
        weight: (O, C / groups, *K), widened where `groups` are fewer than the case's.
        bias: (O,) or none.
        groups: Of `weight`.
        is_tried: Whether a GPU's library may try several forms when it meets these shapes for the first time.
    """
    stride, nothing = [case.stride] * case.axes, [0] * case.axes
    y: Tensor = torch._convolution(
        x,
        weight,
        bias,
        stride,
        case.padding,
        list(case.dilation),
        False,
        nothing,
        groups,
        is_tried,
        False,
        True,
        torch.backends.cudnn.allow_tf32,
    )
    return y


def _as_autocast(tensor: Tensor, device: torch.device) -> Tensor:
    """Return what autocast computes with on a device."""
    is_on = torch.is_autocast_enabled(device.type)
    return tensor.to(torch.get_autocast_dtype(device.type)) if is_on else tensor
