"""How a CUDA graph is captured while other threads of the process use the GPU too."""

import threading
from contextlib import AbstractContextManager

import torch

# One capture at a time in a process; other candidates may train meanwhile.
CAPTURES = threading.Lock()


def capture(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream) -> AbstractContextManager[None]:
    """Return a context in which what is launched on a stream becomes a graph.

    Calls of other threads, which train other candidates, do not end the capture.
    """
    return torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local")
