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
from time import perf_counter

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
# On a processor the operation must win by this much, in so many rounds by turns.
ADVANTAGE, ROUNDS = 1.1, 10
# The operation by device and type of maps, once it was tried there; none where it cannot run or does not pay.
_OPERATIONS: dict[tuple[torch.device, torch.dtype], Operation | None] = {}


@contextmanager
def fused_layers(network: nn.Module, device: torch.device, *, is_bf16: bool = True) -> Iterator[None]:
    """Train a network's chains of pooling, batch normalisation and activation as one operation each.

    Weights, statistics, their names and, but for rounding, all results stay the same; afterwards the modules
    are as they were. A network that was not built from an architecture, or is not one of images, is left
    alone, and so is every network where nothing compiles, or where torch computes with several threads.
    """
    replacements: dict[nn.Module, Forward] = {}
    operation = None
    if isinstance(network, Network) and (device.type != "cpu" or torch.get_num_threads() == 1):
        operation = operation_of(device, torch.bfloat16 if is_bf16 else torch.float32)
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


def operation_of(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> Operation | None:
    """Return what computes chains on a device; None, and say why once, if it cannot or is no faster.

    Usual kernels are compiled at the first call, for a second or two; they are kept for later processes.

    Raises:
        torch.OutOfMemoryError: There is no memory left to try it; the next call tries again.
    """
    with launches(device):
        if (device, dtype) not in _OPERATIONS:
            _OPERATIONS[device, dtype] = _tried(device, dtype)
        return _OPERATIONS[device, dtype]


def _tried(device: torch.device, dtype: torch.dtype) -> Operation | None:
    try:
        operation = _loaded(device)
        if device.type == "cpu":
            return operation if _is_faster(operation, dtype) else None
        _run_usual_chains(operation, device, dtype)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    # A compiler may be missing, or the device may be too old: training goes on without it.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("pooling and normalisation are trained layer by layer: %s", reason)
        return None
    return operation


def _run_usual_chains(operation: Operation, device: torch.device, dtype: torch.dtype) -> None:
    norm = nn.BatchNorm2d(16, device=device)
    for is_pooled, own, function in (
        (True, None, "none"),
        (True, norm, "none"),
        (True, norm, "relu"),
        (False, norm, "relu"),
    ):
        x = torch.zeros(2, 16, 4, 4, dtype=dtype, device=device, requires_grad=True)
        y = operation.run(Chain(is_pooled, own, function), x)
        y.sum().backward()  # type: ignore[no-untyped-call]


def _loaded(device: torch.device) -> Operation:
    if device.type == "cpu":
        from workers.training.fused.cpu import operation as on_cpu

        return on_cpu.OPERATION
    from workers.training.fused.cuda import operation as on_cuda

    return on_cuda.OPERATION


def _is_faster(operation: Operation, dtype: torch.dtype) -> bool:
    """Time a typical chain by turns with its modules; the fastest round of each counts."""
    modules = nn.Sequential(nn.MaxPool2d(WINDOW), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
    norm = modules[1]
    assert isinstance(norm, nn.BatchNorm2d)
    chain = Chain(is_pooled=True, norm=norm, activation="relu")
    x = torch.zeros(64, 32, 16, 16, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()

    def seconds(forward: Forward) -> float:
        started = perf_counter()
        y = forward(x)
        y.backward(torch.ones_like(y))  # type: ignore[no-untyped-call]
        return perf_counter() - started

    rounds = [(seconds(modules), seconds(lambda x: operation.run(chain, x))) for _ in range(ROUNDS)]
    layers, fused = (min(taken) for taken in zip(*rounds, strict=True))
    return bool(layers > ADVANTAGE * fused)
