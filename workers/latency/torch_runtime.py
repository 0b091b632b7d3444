"""The folded torch module, on one thread of the processor or on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from search_spaces.deployment import DeployedNetwork
from search_spaces.modules.network import Network
from workers.latency.machine import processor
from workers.latency.runtime import Example, Run, Runtime
from workers.training.capturing import capture, launches

# Side-stream runs that CUDA wants before a graph is captured.
CAPTURE_WARM_UP_RUNS = 3


def on_processor() -> Runtime:
    """Return the runtime of the device "cpu-torch"."""
    return Runtime("torch", torch.__version__, processor(), _prepare, _one_thread)


def on_gpu() -> Runtime:
    """Return the runtime of the device "cuda".

    Raises:
        RuntimeError: torch sees no GPU.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("torch sees no CUDA device")
    return Runtime("torch", torch.__version__, torch.cuda.get_device_name(), _prepare_on_gpu)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _module(network: DeployedNetwork) -> Network:
    # The layers' own first weights are thrown away; drawing them must not move the global generator.
    with torch.random.fork_rng(devices=[]):
        module = Network(network.graph)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in network.state.items()})
    return module.eval()


def _prepare(network: DeployedNetwork, example: Example) -> Run:
    module, tensor = _module(network), torch.from_numpy(example)

    def run() -> object:
        with torch.inference_mode():
            return module(tensor)

    return run


def _prepare_on_gpu(network: DeployedNetwork, example: Example) -> Run:
    """Capture one inference as a CUDA graph: what is timed is the GPU, not Python's launches."""
    module, tensor = _module(network).cuda(), torch.from_numpy(example).cuda()
    stream = _capturing_stream(torch.cuda.current_device())
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with launches(tensor.device), torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(CAPTURE_WARM_UP_RUNS):
                module(tensor)
        torch.cuda.current_stream().wait_stream(stream)
        with capture(graph, stream):
            module(tensor)
    return _Replay(graph, (module, tensor))


@dataclass(frozen=True, slots=True)
class _Replay:
    """One inference, by a graph that reads and writes the memory of what it was captured from."""

    graph: torch.cuda.CUDAGraph
    kept: tuple[Network, torch.Tensor]

    def __call__(self) -> None:
        self.graph.replay()
        # Of this stream alone: others may be capturing.
        torch.cuda.current_stream().synchronize()


@cache
def _capturing_stream(device: int) -> torch.cuda.Stream:
    """Return the stream on which inferences are captured; torch has few, so that one is kept."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch
