"""Training a network with chains of its layers computed as one operation each.

Pooling, batch normalisation and activation of a small map are some ten passes there and back, each of which
reads or writes whole maps: more than half of a step of a network of two convolutions on a GPU (H100,
docs/decisions/0011), two fifths on a processor (docs/decisions/0012). As one operation they are six, and
where there is pooling the full map is read once and its gradient written once.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces.graph import Graph
from search_spaces.layers.layer import Layer
from search_spaces.layers.normalisation import BatchNorm
from search_spaces.layers.pointwise import ACTIVATIONS, Activation
from search_spaces.layers.reduction import Pool
from search_spaces.modules import Network
from workers.training.capturing import launches
from workers.training.convolutions.replacing import forward_passes
from workers.training.fused.chain import Chain, Operation

log = logging.getLogger("nas.worker")
AXES = 2
WINDOW = 2
Forward = Callable[[Tensor], Tensor]
DTYPES = (torch.float32, torch.bfloat16)
# The operation by device, once it was tried there; none where it cannot run.
_OPERATIONS: dict[torch.device, Operation | None] = {}


@contextmanager
def fused_layers(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Train a network's chains of pooling, batch normalisation and activation as one operation each.

    Weights, statistics, their names and, but for rounding, all results stay the same; afterwards the modules
    are as they were. A network that was not built from an architecture, or is not one of images, is left
    alone, and so is every network where nothing compiles. On a processor the operation has one thread.
    """
    replacements: dict[nn.Module, Forward] = {}
    operation = operation_of(device) if isinstance(network, Network) else None
    if operation is not None:
        assert isinstance(network, Network)
        for indices in chains(network.graph, operation.functions):
            replacements |= _replaced(network, indices, operation)
    with forward_passes(replacements):
        yield


def chains(graph: Graph, functions: Sequence[str] = ACTIVATIONS) -> Iterator[list[int]]:
    """Yield nodes that follow one another and are computed at once: [pool], [norm], [activation].

    Each begins with a maximum pool of 2x2 or a batch normalisation of an image; what follows is part of it if
    it is the only reader of what comes before, and an activation if it is one of `functions`.
    """
    readers = Counter(source for node in graph.nodes for source in node.inputs)
    following = {node.inputs[0]: index for index, node in enumerate(graph.nodes) if len(node.inputs) == 1}
    taken: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if index in taken or len(node.shape) != AXES + 1 or not isinstance(node.layer, (Pool, BatchNorm)):
            continue
        if isinstance(node.layer, Pool) and not _is_plain(node.layer):
            continue
        chain, wanted = [index], [BatchNorm, Activation] if isinstance(node.layer, Pool) else [Activation]
        for kind in wanted:
            after = following.get(chain[-1])
            if after is None or readers[chain[-1]] > 1 or not isinstance(graph.nodes[after].layer, kind):
                break
            if _function(graph.nodes[after].layer) not in ("none", *functions):
                break
            chain.append(after)
        taken.update(chain)
        yield chain


def _is_plain(pool: Pool) -> bool:
    kernel = pool.kernel if isinstance(pool.kernel, tuple) else (pool.kernel,)
    return pool.function == "max" and set(kernel) == {pool.stride} == {WINDOW}


def _function(layer: Layer) -> str:
    return layer.function if isinstance(layer, Activation) else "none"


def _replaced(network: Network, indices: Sequence[int], operation: Operation) -> dict[nn.Module, Forward]:
    """Return the forward passes of a chain's modules: its norm, or else its pool, computes everything."""
    nodes = [network.graph.nodes[index] for index in indices]
    modules = [network.get_submodule(node.name) for node in nodes]
    pool = modules[0] if isinstance(nodes[0].layer, Pool) else None
    norm = next((module for module in modules if isinstance(module, nn.BatchNorm2d)), None)
    activation = _function(nodes[-1].layer)
    chain = Chain(pool is not None, norm, activation)
    # A frozen norm is told that it is not in training when it is called, not before: it decides by itself.
    computing = norm or modules[0]

    def is_fused(x: Tensor) -> bool:
        return computing.training and torch.is_grad_enabled() and x.dtype in DTYPES

    def everything(x: Tensor) -> Tensor:
        if is_fused(x):
            return operation.run(chain, x)
        return _own(computing, _own(pool, x) if pool is not None and pool is not computing else x)

    def behind(x: Tensor) -> Tensor:
        return x if is_fused(x) else _own(modules[-1], x)

    found: dict[nn.Module, Forward] = {computing: everything}
    if pool is not None and pool is not computing:
        found[pool] = lambda x: x
    if activation != "none":
        found[modules[-1]] = behind
    return found


def _own(module: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = type(module).forward(module, x)
    return y


def operation_of(device: torch.device) -> Operation | None:
    """Return what computes chains on a device; None, and say why once, if it cannot run there.

    A GPU's usual kernels are compiled at the first call, for a second or two, a processor's when they are
    met; all are kept for later processes.

    Raises:
        torch.OutOfMemoryError: There is no memory left to try it; the next call tries again.
    """
    with launches(device):
        if device not in _OPERATIONS:
            _OPERATIONS[device] = _tried(device)
        return _OPERATIONS[device]


def _tried(device: torch.device) -> Operation | None:
    try:
        operation = _loaded(device)
        operation.try_out(device)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    # A compiler may be missing, or the device may be too old: training goes on without it.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("pooling and normalisation are trained layer by layer: %s", reason)
        return None
    return operation


def _loaded(device: torch.device) -> Operation:
    if device.type == "cpu":
        from workers.training.fused.cpu import operation as on_cpu

        return on_cpu.OPERATION
    from workers.training.fused.cuda import operation as on_cuda

    return on_cuda.OPERATION
