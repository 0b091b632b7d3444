"""Convolutions of images on a GPU: grouped ones run dense, those of one map together, large ones are tried.

Of grouped convolutions cuDNN runs one group after the other, or compiles a kernel: for a depthwise one that
takes 1 s to 4 s in each thread, and each candidate brings shapes that were never met before. As a dense one,
with zeros between the groups, it takes 0.2 to 2 times as long a step and no compilation. Branches that begin
with convolutions of the same map are computed as a single one of the largest kernel: 1.2 to 2.7 times as
fast, for kernels of few channels leave a GPU idle. For kernels of 5 and more taps an axis the form that cuDNN
takes by itself for the forward pass is not its best: there and back it takes up to twice as long as with one
of a few that are tried, for 0.05 s (H100, batches of 128; `benchmarks.gpu_layers`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from math import prod

import torch
from torch import Tensor, nn

from search_spaces.layers.convolution import Convolution
from search_spaces.layers.merging import Concat
from search_spaces.modules import Network
from workers.training.convolutions.case import Case
from workers.training.convolutions.cases import node_cases
from workers.training.convolutions.placing import Block, Placing
from workers.training.convolutions.replacing import forward_passes

# Beyond so many weights a tap, zeros included, a dense form costs more than it spares.
MOST_WEIGHTS = 2**15
# Beyond so many weights, or so many times those of the convolutions apart, none are merged.
MOST_MERGED = 64 * 64 * 9 * 9
MOST_GROWTH = 2.5
# A convolution of more weights as it is takes so long that placing them spares nothing.
MOST_PLACED = 2**18
# Taps of an axis from which on forms are tried: so many of cuDNN's best guesses.
LARGE = 5
GUESSES = 4
Forward = Callable[..., Tensor]
# Numbers of the nodes of convolutions that are computed as one.
_Nodes = tuple[int, ...]


@contextmanager
def dense_convolutions(network: nn.Module, *, is_recomputed: bool = False) -> Iterator[None]:
    """Run the network's convolutions over two axes in these forms, for as long as it trains on a GPU.

    Weights, their names and, but for rounding, all results stay the same; afterwards the modules are as they
    were. A network that was not built from an architecture is left alone.

    Args:
        network: What trains.
        is_recomputed: Whether parts of a forward pass may run again by themselves: then nothing is computed
            for more than one convolution at a time.
    """
    torch.backends.cudnn.benchmark_limit = GUESSES
    replacements: dict[nn.Module, Forward] = {}
    if isinstance(network, Network):
        parts = _together(network)
        if is_recomputed:
            for part in _apart(network):
                replacements |= _Convolutions(network, [part]).forward_passes()
        elif parts:
            replacements |= _Convolutions(network, parts).forward_passes()
    with forward_passes(replacements):
        yield


def _apart(network: Network) -> list[tuple[_Nodes, Block]]:
    """Return the convolutions that gain by another form, one by one."""
    cases = node_cases(network.graph, 1)
    chosen = {index: case for index, case in cases.items() if case.axes == 2 and _is_special(case)}
    return [((index,), _alone(case)) for index, case in chosen.items()]


def _together(network: Network) -> list[tuple[_Nodes, Block]]:
    """Return convolutions over two axes, those of the same map together where that pays."""
    graph, found = network.graph, []
    cases = {index: case for index, case in node_cases(graph, 1).items() if case.axes == 2}

    def kind(index: int) -> tuple[object, ...]:
        """Return what convolutions have in common that can be computed as one."""
        node, case = graph.nodes[index], cases[index]
        assert isinstance(node.layer, Convolution)
        fits_into_a_larger_one = all(taps % 2 for taps in case.kernel) and set(case.dilation) == {1}
        own = -1 if fits_into_a_larger_one else index
        return (node.inputs[0], case.stride, node.layer.bias, own)

    for _, siblings in groupby(sorted(cases, key=kind), key=kind):
        nodes = tuple(siblings)
        block = Block(tuple(cases[index] for index in nodes))
        if len(nodes) > 1 and _is_to_be_merged(block):
            found.append((nodes, block))
        else:
            found += [((index,), _alone(cases[index])) for index in nodes if _is_worth_it(cases[index])]
    # By node: blocks themselves have no order.
    return sorted(found, key=lambda part: part[0])


def _alone(case: Case) -> Block:
    return Block((case,), 1 if _is_to_be_dense(case) else case.groups)


def _is_to_be_dense(case: Case) -> bool:
    return case.axes == 2 and case.groups > 1 and case.in_channels * case.out_channels <= MOST_WEIGHTS


def _is_worth_it(case: Case) -> bool:
    return _is_special(case) or prod(case.weight_shape) <= MOST_PLACED


def _is_special(case: Case) -> bool:
    return _is_to_be_dense(case) or max(case.kernel) >= LARGE


def _is_to_be_merged(block: Block) -> bool:
    apart = sum(_alone(case).size for case in block.cases)
    return block.size <= min(MOST_MERGED, MOST_GROWTH * apart)


class _Convolutions:
    """Forward passes of a network's convolutions whose weights are placed together, when the first one runs.

    Args:
        network: Whose they are.
        parts: Nodes, and the block that computes them.
    """

    def __init__(self, network: Network, parts: Sequence[tuple[_Nodes, Block]]) -> None:
        self._network = network
        self._nodes, self._blocks = zip(*parts, strict=True)
        names = [[network.graph.nodes[index].name for index in nodes] for nodes in self._nodes]
        self._modules = [[network.get_submodule(name) for name in own] for own in names]
        weights = [module.weight for modules in self._modules for module in modules]
        self._weights = [weight for weight in weights if isinstance(weight, Tensor)]
        self._placing = Placing(self._blocks, self._weights[0].device)
        self._placed: dict[int, Tensor] = {}
        # Outputs of merged convolutions that are yet to be asked for, by node.
        self._waiting: dict[int, Tensor] = {}

    def forward_passes(self) -> dict[nn.Module, Forward]:
        """Return those of all that is computed in another way."""
        found: dict[nn.Module, Forward] = {}
        for number, nodes in enumerate(self._nodes):
            concat = self._concat_of(nodes) if len(nodes) > 1 else None
            for place, module in enumerate(self._modules[number]):
                found[module] = self._forward(number, place, is_whole=concat is not None)
            if concat is not None:
                found[concat] = lambda *maps: maps[0]
        return found

    def _forward(self, number: int, place: int, *, is_whole: bool) -> Forward:
        """Return a convolution's pass: the first of a block computes it for all.

        Args:
            number: Of the block.
            place: In the block.
            is_whole: Whether each of them is to return what comes out of all.
        """
        node = self._nodes[number][place]

        def forward(x: Tensor) -> Tensor:
            if place == 0:
                y = self._computed(number, x)
                widths = [case.out_channels for case in self._blocks[number].cases]
                maps = [y] * len(widths) if is_whole or len(widths) == 1 else torch.split(y, widths, 1)
                self._waiting |= dict(zip(self._nodes[number], maps, strict=True))
            return self._waiting.pop(node)

        return forward

    def _computed(self, number: int, x: Tensor) -> Tensor:
        block, modules = self._blocks[number], self._modules[number]
        x = _as_autocast(x, x.device)
        if number not in self._placed:
            placed = self._placing.placed(self._weights, x.dtype)
            self._placed = dict(enumerate(placed))
        biases = [module.bias for module in modules if isinstance(module.bias, Tensor)]
        bias = _as_autocast(torch.cat(biases) if len(biases) > 1 else biases[0], x.device) if biases else None
        # Inference, which validates, takes its few batches as they come.
        is_tried = torch.is_grad_enabled() and len(modules) == 1 and max(block.kernel) >= LARGE
        weight = self._placed.pop(number)
        return convolved(block.cases[0], x, weight, bias, block.groups, is_tried=is_tried)

    def _concat_of(self, nodes: _Nodes) -> nn.Module | None:
        """Return the concatenation that reads exactly these nodes, in this order, and alone."""
        graph = self._network.graph
        readers = {index for index, node in enumerate(graph.nodes) if set(node.inputs) & set(nodes)}
        if len(readers) != 1:
            return None
        node = graph.nodes[readers.pop()]
        is_all = isinstance(node.layer, Concat) and node.inputs == nodes
        return self._network.get_submodule(node.name) if is_all else None


def convolved(
    case: Case, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, *, is_tried: bool
) -> Tensor:
    """Return the output (B, O, *S') of a convolution with a case's stride and dilation.

    Args:
        case: Of the convolution as the architecture has it.
        x: (B, C, *S).
        weight: (O, C / groups, *K); its kernel may be larger than the case's.
        bias: (O,) or none.
        groups: Of `weight`.
        is_tried: Whether a GPU's library may try several forms when it meets these shapes for the first time.
    """
    kernel, stride, nothing = weight.shape[2:], [case.stride] * case.axes, [0] * case.axes
    padding = [step * (size - 1) // 2 for size, step in zip(kernel, case.dilation, strict=True)]
    y: Tensor = torch._convolution(
        x,
        weight,
        bias,
        stride,
        padding,
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
