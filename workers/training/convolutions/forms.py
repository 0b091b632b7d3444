"""The three passes of a grouped convolution, each in any of its forms.

Shapes: input (B, C, *S), weight (O, C / groups, *K), output and its gradient (B, O, *S'). Wider groups hold m
of the old ones: their weight (O, m x C / groups, *K) is block diagonal.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from workers.training.convolutions.case import Case, Form

MEMORY_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def forward(form: Form, case: Case, x: Tensor, weight: Tensor) -> Tensor:
    """Return the output, in the form's number type."""
    x, weight = x.to(form.dtype), weight.to(form.dtype)
    if form.kind == "depthwise":
        return _depthwise_sum(case, x, weight)
    return _convolution(case, x, widened(case, weight, form.groups), form.groups)


def input_gradient(form: Form, case: Case, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the input, in the form's number type; of `x` only shape and order are read."""
    gradient, weight = gradient.to(form.dtype), widened(case, weight.to(form.dtype), form.groups)
    if form.kind == "reversed":
        return _convolution(case, gradient, _mirrored(weight, form.groups), form.groups)
    return _backward(case, gradient, x.to(form.dtype), weight, form.groups, (True, False))


def weight_gradient(form: Form, case: Case, gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of the weight, in the form's number type."""
    gradient, x = gradient.to(form.dtype), x.to(form.dtype)
    merged = case.groups // form.groups
    shape = (form.groups, merged, case.outputs_a_group, merged, case.inputs_a_group, *case.kernel)
    if form.kind == "swapped":
        wide = x.new_empty((case.in_channels, case.out_channels // form.groups, *case.kernel))
        found = _backward(case, x, gradient, wide, form.groups, (False, True))
        taps = tuple(range(-case.axes, 0))
        turned = found.reshape(form.groups, merged, shape[4], merged, shape[2], *case.kernel)
        return _narrowed(turned.transpose(2, 4).flip(taps), case)
    wide = x.new_empty((case.out_channels, case.in_channels // form.groups, *case.kernel))
    return _narrowed(_backward(case, gradient, x, wide, form.groups, (False, True)).reshape(shape), case)


def widened(case: Case, weight: Tensor, groups: int) -> Tensor:
    """Return the weight of the same convolution in fewer groups, zero between those that were apart."""
    if groups == case.groups:
        return weight
    merged = case.groups // groups
    parts = weight.reshape(groups, merged, case.outputs_a_group, case.inputs_a_group, *case.kernel)
    wide = weight.new_zeros(groups, merged, case.outputs_a_group, merged, case.inputs_a_group, *case.kernel)
    # The diagonal puts its own axis last.
    wide.diagonal(dim1=1, dim2=3).copy_(parts.movedim(1, -1))
    shape = (case.out_channels, case.in_channels // groups, *case.kernel)
    return ordered(wide.reshape(shape), case.axes)


def _narrowed(wide: Tensor, case: Case) -> Tensor:
    """Read the blocks of (groups, m, outputs, m, inputs, *K) that `widened` fills."""
    return wide.diagonal(dim1=1, dim2=3).movedim(-1, 1).reshape(case.weight_shape)


def _mirrored(weight: Tensor, groups: int) -> Tensor:
    """Exchange a weight's outputs and inputs within each group and turn its taps round."""
    outputs, inputs, *taps = weight.shape
    parts = weight.reshape(groups, outputs // groups, inputs, *taps).transpose(1, 2)
    turned = parts.reshape(groups * inputs, outputs // groups, *taps).flip(tuple(range(-len(taps), 0)))
    return ordered(turned, len(taps))


def _depthwise_sum(case: Case, x: Tensor, weight: Tensor) -> Tensor:
    """Filter each input once for each output of its group, then add up what belongs together."""
    repeats, channels = case.outputs_a_group, case.in_channels
    filters = weight.reshape(case.groups, repeats, case.inputs_a_group, 1, *case.kernel)
    filters = filters.transpose(0, 1).reshape(repeats * channels, 1, *case.kernel)
    repeated = ordered(torch.cat([x] * repeats, 1), case.axes) if repeats > 1 else x
    maps = _convolution(case, repeated, ordered(filters, case.axes), repeats * channels)
    last = maps.movedim(1, -1)
    membership = _membership(channels, case.groups, repeats, x.dtype)
    return (last.reshape(-1, last.shape[-1]) @ membership).reshape(*last.shape[:-1], -1).movedim(-1, 1)


@lru_cache(maxsize=256)
def _membership(channels: int, groups: int, repeats: int, dtype: torch.dtype) -> Tensor:
    """Return (repeats x channels, outputs) of ones where a filtered map belongs to an output."""
    group = torch.arange(channels) // (channels // groups)
    output = torch.cat([group * repeats + number for number in range(repeats)])
    return torch.nn.functional.one_hot(output, groups * repeats).to(dtype)


def _convolution(case: Case, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    stride, nothing = [case.stride] * case.axes, [0] * case.axes
    return torch.convolution(
        x, weight, None, stride, case.padding, list(case.dilation), False, nothing, groups
    )


def _backward(
    case: Case, gradient: Tensor, x: Tensor, weight: Tensor, groups: int, wanted: Sequence[bool]
) -> Tensor:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        [case.stride] * case.axes,
        case.padding,
        list(case.dilation),
        False,
        [0] * case.axes,
        groups,
        [*wanted, False],
    )
    return found[0] if wanted[0] else found[1]


def ordered(tensor: Tensor, axes: int) -> Tensor:
    """Return the tensor with channels last in memory where its kind of map has such an order."""
    memory_format = MEMORY_FORMATS.get(axes)
    return tensor.contiguous(memory_format=memory_format) if memory_format else tensor.contiguous()
