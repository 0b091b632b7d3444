"""What a torch module itself says of its size, its memory and what it sees: the measure of the analysis."""

import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.cost import ReceptiveField, analyse
from search_spaces.layers.layer import Layer
from search_spaces.lowering import lower
from search_spaces.modules.attention import AttendedAddition, PositionScores, SqueezeExcitationBlock
from search_spaces.modules.deformable import DeformableConvolutionBlock
from search_spaces.modules.merging import Addition, Concatenation, SelectiveAddition, WeightedAddition
from search_spaces.modules.network import Network
from search_spaces.modules.normalisation import GroupNormalisation
from search_spaces.modules.pooling import PaddedAverage3d

_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, DeformableConvolutionBlock)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, GroupNormalisation)
_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.GELU)
_MERGING = (Concatenation, Addition, WeightedAddition, SelectiveAddition)


# What an analysis and a module are compared by.
COMPARED = ("params", "buffers", "macs", "shapes", "peak memory", "receptive field")


def differences(architecture: Architecture) -> Iterator[str]:
    """Yield the names, out of `COMPARED`, of what the analysis says otherwise than the module."""
    cost, seen = analyse(architecture), observe(architecture)
    shapes = {layer.name: layer.output_shape for layer in cost.layers}
    field = observed_receptive_field(architecture)
    analysed = (
        cost.params,
        cost.buffers,
        cost.macs,
        shapes,
        cost.peak_activation_bytes,
        cost.receptive_field,
    )
    observed = (seen.params, seen.buffers, seen.macs, seen.shapes, 4 * seen.peak_elements, field)
    for name, ours, theirs in zip(COMPARED, analysed, observed, strict=True):
        if ours != theirs:
            yield name


@dataclass
class Observed:
    """Counts taken while one example runs through a module."""

    params: int
    buffers: int
    macs: int = 0
    # Output shape of one example by the node's name.
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    # The most elements of maps alive at once, an in-place layer's output standing for its dying input.
    peak_elements: int = 0


def observe(architecture: Architecture) -> Observed:
    """Build a network on the meta device, run one example through it, and count."""
    with torch.device("meta"):
        network = Network(lower(architecture)).eval()
    observed = Observed(
        params=sum(parameter.numel() for parameter in network.parameters()),
        buffers=sum(buffer.numel() for buffer in network.buffers()),
    )
    example = torch.empty(1, *architecture.input_shape, device="meta")
    memory = _Memory(example)
    modules = dict(network.named_modules())
    for node in network.graph.nodes:
        _watch(modules[node.name], node.name, node.layer.in_place, observed, memory)
    # Without gradients to track, a slice does not keep alive what it was cut from.
    with torch.inference_mode():
        network(example)
    observed.peak_elements = memory.peak()
    return observed


class _Memory:
    """Follows which outputs are alive, by the life of the tensors themselves.

    The input belongs to the caller and outlives the run; it counts up to the last step that reads it.
    """

    def __init__(self, example: torch.Tensor) -> None:
        self._example, self._last_reader = weakref.ref(example), 0
        self._alive: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        # Of each step: elements alive beside the input, its output's, and the number of its first input.
        self._steps: list[tuple[int, int, int | None]] = []
        self._reused: set[int] = set()

    def step(self, inputs: tuple[torch.Tensor, ...], output: torch.Tensor, in_place: bool) -> None:
        self._settle()
        number, size = len(self._steps) + 1, output[0].numel()
        if any(source is self._example() for source in inputs):
            self._last_reader = number
        source = self._numbers.get(id(inputs[0])) if in_place else None
        self._alive[number] = size
        self._steps.append((sum(self._alive.values()), size, source))
        self._numbers[id(output)] = number
        weakref.finalize(output, self._forget, number, id(output))

    def peak(self) -> int:
        """Return the most elements alive at once, where a dying input gives its place to the output."""
        self._settle()
        example = self._example()
        size = example[0].numel() if example is not None else 0
        peaks = [size]
        for number, (alive, own, _) in enumerate(self._steps, start=1):
            beside = size if number <= self._last_reader else 0
            peaks.append(beside + alive - (own if number in self._reused else 0))
        return max(peaks)

    def _settle(self) -> None:
        """See whether the first input of the newest step has died since."""
        if self._steps:
            source = self._steps[-1][2]
            if source is not None and source not in self._alive:
                self._reused.add(len(self._steps))

    def _forget(self, number: int, identity: int) -> None:
        self._alive.pop(number, None)
        if self._numbers.get(identity) == number:
            del self._numbers[identity]


def _watch(module: nn.Module, name: str, in_place: bool, observed: Observed, memory: _Memory) -> None:
    def record(part: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        observed.shapes[name] = tuple(output.shape[1:])
        observed.macs += _macs(part, inputs, output)
        memory.step(inputs, output, in_place)

    module.register_forward_hook(record)


def _macs(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> int:
    """Count multiply-accumulates from the tensors that the module has and saw."""
    if isinstance(module, _WEIGHTED):
        return output[0].numel() * prod(module.weight.shape[1:])
    if isinstance(module, PositionScores):
        return output[0].numel() * inputs[0].shape[1]
    if isinstance(module, AttendedAddition):
        return inputs[1][0].numel() * inputs[2].shape[-1]
    if isinstance(module, SqueezeExcitationBlock):
        return module.squeeze.weight.numel() + module.excite.weight.numel()
    return 0


def observed_receptive_field(architecture: Architecture) -> ReceptiveField:
    """Return what one position of the last map sees, from gradients of the module, an axis after the other.

    The module is made linear and positive, so that no path cancels another: norms, activations and gates let
    everything through, maxima become means. For the smallest field each merge lets only that input through
    whose own field is smallest. The input is made long enough for the whole field to lie inside it.
    """
    expected = analyse(architecture).receptive_field
    axes = len(architecture.input_shape) - 1
    largest = tuple(_seen(architecture, axis, expected, only_smallest=False) for axis in range(axes))
    smallest = tuple(_seen(architecture, axis, expected, only_smallest=True) for axis in range(axes))
    return ReceptiveField(smallest, largest)


def _seen(architecture: Architecture, axis: int, expected: ReceptiveField, *, only_smallest: bool) -> int:
    step = 2 ** sum(stage.downsample != "none" for stage in architecture.stages)
    # Twice the field, for its middle to be free of the border, in whole steps; the other axes stay thin.
    long = step * (2 * expected.largest[axis] // step + 4)
    size = tuple(long if other == axis else step for other in range(len(architecture.input_shape) - 1))
    probe = _Probe(architecture, size, axis, only_smallest=only_smallest)
    return probe.extent()


class _Probe:
    """Runs a linear form of a network's stages on an input of another size."""

    def __init__(
        self, architecture: Architecture, size: tuple[int, ...], axis: int, *, only_smallest: bool
    ) -> None:
        graph = lower(architecture)
        self._nodes = [node for node in graph.nodes if not node.name.startswith("head.")]
        self._axis, self._only_smallest = axis, only_smallest
        self._input = torch.ones(1, architecture.input_shape[0], *size, requires_grad=True)

    def extent(self) -> int:
        maps: dict[int, torch.Tensor | None] = {-1: self._input}
        for index, node in enumerate(self._nodes):
            inputs = [maps[source] for source in node.inputs]
            maps[index] = self._run(node.layer, inputs)
        last = maps[len(self._nodes) - 1]
        assert last is not None
        return self._extent_of(last)

    def _run(self, layer: Layer, inputs: list[torch.Tensor | None]) -> torch.Tensor | None:
        seen = [source for source in inputs if source is not None]
        if not seen or not layer.gives_map:
            return None
        # Of the sizes that the probe has.
        module = layer.module([tuple(source.shape[1:]) for source in seen])
        if isinstance(module, _MERGING):
            return self._merged(module, seen)
        if isinstance(module, (*_NORMS, *_ACTIVATIONS, AttendedAddition, SqueezeExcitationBlock, nn.Dropout)):
            return seen[0]
        output: torch.Tensor = _linear(module)(*seen)
        return output

    def _merged(self, module: nn.Module, maps: list[torch.Tensor]) -> torch.Tensor:
        if self._only_smallest:
            # A map that depends on nothing, all of whose paths were cut before, is no choice.
            kept = min(range(len(maps)), key=lambda index: self._extent_of(maps[index]) or sys.maxsize)
            # Zeros keep the channels that later layers expect.
            maps = [
                source if index == kept else torch.zeros_like(source) for index, source in enumerate(maps)
            ]
        if isinstance(module, Concatenation):
            return torch.cat(maps, dim=1)
        return torch.stack(maps).sum(0)

    def _extent_of(self, output: torch.Tensor) -> int:
        """Return how long the part of the input is that the middle of a map depends on."""
        if not output.requires_grad:
            return 0
        middle = output
        for axis in range(2, output.dim()):
            middle = middle.select(2, output.shape[axis] // 2)
        (gradient,) = torch.autograd.grad(middle.sum(), self._input, retain_graph=True)
        others = tuple(axis for axis in range(gradient.dim()) if axis != self._axis + 2)
        touched = gradient.abs().amax(others).nonzero()
        return int(touched.max() - touched.min()) + 1 if len(touched) else 0


@torch.no_grad()
def _linear(module: nn.Module) -> nn.Module:
    """Return a module that sees the same, with positive weights and without maxima."""
    if isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
        average: dict[type[nn.Module], Any] = {
            nn.MaxPool1d: nn.AvgPool1d,
            nn.MaxPool2d: nn.AvgPool2d,
            nn.MaxPool3d: PaddedAverage3d,
        }
        # A window of 2 is given by one number, others by one an axis.
        replaced: nn.Module = average[type(module)](module.kernel_size, module.stride, module.padding)
        return replaced
    weight = getattr(module, "weight", None)
    if isinstance(weight, torch.Tensor):
        # Offsets of deformable convolutions stay zero: the regular grid.
        is_offset = getattr(module, "starts_at_zero", False)
        weight.fill_(0.0 if is_offset else 1.0 / prod(weight.shape[1:]))
    bias = getattr(module, "bias", None)
    if isinstance(bias, torch.Tensor):
        bias.zero_()
    return module
