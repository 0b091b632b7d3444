"""The weights of a convolution, and the algebra of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

import numpy as np

from search_spaces.folding.trained_graph import Array, Part, TrainedGraph
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Shape
from search_spaces.layers.reduction import Pool


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A convolution as numbers; odd along each axis and padded to keep the map."""

    # (channels out, channels in / groups, *taps).
    weight: Array
    bias: Array | None
    stride: int
    groups: int
    dilations: tuple[int, ...]

    @property
    def taps(self) -> Shape:
        """Taps along each axis."""
        return tuple(self.weight.shape[2:])

    @property
    def inputs(self) -> int:
        """Channels in."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Channels out."""
        return len(self.weight)

    def part(self, source: str) -> Part:
        """Return the layer that convolves `source` by this kernel."""
        steps = {step for step, taps in zip(self.dilations, self.taps, strict=True) if taps > 1}
        dilation = self.dilations if len(steps) > 1 else next(iter(steps), 1)
        layer = Convolution(
            self.outputs, self.taps, self.stride, self.groups, dilation, self.bias is not None
        )
        state = {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}
        return Part(layer, (source,), state)


def kernel_of(trained: TrainedGraph, name: str) -> Kernel | None:
    """Return a layer as a kernel: a convolution, or the choice of every n-th position; None for others."""
    part = trained.parts.get(name)
    if part is None:
        return None
    layer = part.layer
    if isinstance(layer, Convolution):
        return Kernel(
            part.state["weight"], part.state.get("bias"), layer.stride, layer.groups, layer.dilations
        )
    if is_subsampling(part, trained.shapes[name]):
        assert isinstance(layer, Pool)
        return identity(trained.shapes[name], layer.stride)
    return None


def is_subsampling(part: Part, shape: Shape) -> bool:
    """Whether a layer is a pooling of single positions, which only its stride changes."""
    return isinstance(part.layer, Pool) and all(size == 1 for size, _, _ in part.layer.window(len(shape) - 1))


def identity(shape: Shape, stride: int = 1) -> Kernel:
    """Return the kernel of one tap that passes each channel of a map on."""
    channels, axes = shape[0], len(shape) - 1
    return Kernel(np.ones((channels, 1, *(1,) * axes)), None, stride, channels, (1,) * axes)


def scaled(kernel: Kernel, scale: Array, shift: Array) -> Kernel:
    """Return the kernel followed by an affine map of each channel; no bias where none is needed."""
    weight = kernel.weight * scale.reshape(-1, *(1,) * (kernel.weight.ndim - 1))
    if kernel.bias is None:
        return replace(kernel, weight=weight, bias=shift if shift.any() else None)
    return replace(kernel, weight=weight, bias=kernel.bias * scale + shift)


def expanded(kernel: Kernel, groups: int = 1) -> Kernel:
    """Return the same kernel in fewer groups, a divisor of its own, with zeros between the old ones."""
    ratio = kernel.groups // groups
    outputs, narrow = kernel.outputs // kernel.groups, kernel.weight.shape[1]
    blocks = kernel.weight.reshape(groups, ratio, outputs, narrow, *kernel.taps)
    weight = np.zeros((groups, ratio, outputs, ratio, narrow, *kernel.taps), kernel.weight.dtype)
    for index in range(ratio):
        weight[:, index, :, index] = blocks[:, index]
    weight = weight.reshape(kernel.outputs, ratio * narrow, *kernel.taps)
    return replace(kernel, weight=weight, groups=groups)


def common_groups(kernels: Sequence[Kernel]) -> int:
    """Return the most groups that all kernels can be written in."""
    return gcd(*(kernel.groups for kernel in kernels))


def common_grid(kernels: Sequence[Kernel]) -> tuple[Shape, Shape]:
    """Return distance and number of the taps, along each axis, that hold all kernels on one centre."""
    steps, taps = [], []
    for axis in range(len(kernels[0].taps)):
        wide = [(kernel.taps[axis] - 1, kernel.dilations[axis]) for kernel in kernels]
        step = gcd(*(dilation for count, dilation in wide if count)) or 1
        steps.append(step)
        taps.append(max(count * dilation for count, dilation in wide) // step + 1)
    return tuple(steps), tuple(taps)


def summed(kernels: Sequence[Kernel]) -> Kernel:
    """Return the kernel of the sum of convolutions of one input by one stride.

    Ding et al. 2021, "RepVGG", arXiv:2101.03697, section 3.3: smaller kernels are padded by zeros.
    """
    steps, taps = common_grid(kernels)
    groups = common_groups(kernels)
    weight = sum(_on_grid(expanded(kernel, groups), steps, taps) for kernel in kernels)
    biases = [kernel.bias for kernel in kernels if kernel.bias is not None]
    bias = np.sum(biases, axis=0) if biases else None
    return Kernel(np.asarray(weight), bias, kernels[0].stride, groups, steps)


def stacked(kernels: Sequence[Kernel]) -> Kernel:
    """Return the kernel whose channels are those of convolutions of one input, side by side."""
    steps, taps = common_grid(kernels)
    weight = np.concatenate([_on_grid(expanded(kernel), steps, taps) for kernel in kernels])
    biases = [np.zeros(kernel.outputs) if kernel.bias is None else kernel.bias for kernel in kernels]
    bias = None if all(kernel.bias is None for kernel in kernels) else np.concatenate(biases)
    return Kernel(weight, bias, kernels[0].stride, 1, steps)


def summed_size(kernels: Sequence[Kernel]) -> int:
    """Count the weights of `summed`."""
    rows = kernels[0].outputs * kernels[0].inputs // common_groups(kernels)
    return rows * prod(common_grid(kernels)[1])


def _on_grid(kernel: Kernel, steps: Shape, taps: Shape) -> Array:
    weight = np.zeros((*kernel.weight.shape[:2], *taps), kernel.weight.dtype)
    places = []
    for size, dilation, step, count in zip(kernel.taps, kernel.dilations, steps, taps, strict=True):
        apart = dilation // step if size > 1 else 1
        first = (count - 1 - apart * (size - 1)) // 2
        places.append(slice(first, first + apart * (size - 1) + 1, apart))
    weight[:, :, *places] = kernel.weight
    return weight
