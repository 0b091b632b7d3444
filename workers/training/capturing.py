"""How a CUDA graph is captured while other threads of the process use the GPU too."""

import threading
from contextlib import AbstractContextManager, nullcontext

import torch

# Held by a thread while it captures, and while it launches a step kernel by kernel.
_LAUNCHES = threading.RLock()


def launches(device: torch.device) -> AbstractContextManager[object]:
    """Return a context for launching kernels one by one, or capturing a graph: one thread at a time does so.

    A library that is set up for the first time in a thread, loads a kernel, or tries several forms may wait
    for the whole device: that fails, and ends the capture, while another thread is capturing. Replaying a
    graph needs no such context, nor does a device that is not a GPU.
    """
    return _LAUNCHES if device.type == "cuda" else nullcontext()


def capture(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream) -> AbstractContextManager[None]:
    """Return a context, to be entered within `launches`, in which what is launched becomes a graph.

    Calls of other threads, which train other candidates, do not end the capture.

    Args:
        graph: Becomes what is launched.
        stream: Where it is launched.
    """
    return torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local")
