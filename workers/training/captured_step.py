"""A step of training as one CUDA graph.

A step of a small network is some hundred kernels of a few microseconds: launching them one by one takes the
host longer than the device needs to run them. A graph is launched as a whole.
"""

import logging
from collections.abc import Callable, Sequence

import torch

from workers.training.capturing import capture, launches

log = logging.getLogger("nas.worker")
# Taken as they come before the capture: libraries choose kernels and optimisers create their state in them.
WARM_UP_STEPS = 3
# Kept for good: after a capture that failed, torch's allocator still asks the graph which memory is its own.
_FAILED: list[torch.cuda.CUDAGraph] = []


def _closed() -> None:
    raise RuntimeError("no step is taken any more")


class CapturedStep:
    """Takes a step that has neither arguments nor a result: it reads and writes tensors that stay in place.

    The first steps, and all where the capture fails, run as they are. Everything must happen on the present
    stream, which must not be the default one. Random numbers may come from `generators` alone.

    Args:
        step: Works on the device without ever waiting for it.
        generators: Of the device; each replay draws anew from them.
        device: Where the step works; only on a GPU is it captured.
    """

    def __init__(
        self, step: Callable[[], None], generators: Sequence[torch.Generator], device: torch.device
    ) -> None:
        self._step, self._generators, self._device = step, tuple(generators), device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._taken = 0
        self._is_hopeless = device.type != "cuda"

    @property
    def is_captured(self) -> bool:
        """Whether steps are replays of a graph by now."""
        return self._graph is not None

    def __call__(self) -> None:
        """Take one step, without waiting for it to be computed."""
        if self._graph is None and not self._is_hopeless and self._taken >= WARM_UP_STEPS:
            self._capture()
        self._taken += 1
        if self._graph is not None:
            self._graph.replay()
        else:
            with launches(self._device):
                self._step()

    def close(self) -> None:
        """Let go of the graph and its memory, and of the step, which in turn may hold this one."""
        if self._graph is not None:
            torch.cuda.current_stream(self._device).synchronize()
            self._graph.reset()
        self._graph, self._is_hopeless = None, True
        self._step, self._generators = _closed, ()

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        # A capture that fails may leave a generator unusable: it then goes on from a copy of its state.
        spares = [generator.clone_state() for generator in self._generators]
        for generator in self._generators:
            graph.register_generator_state(generator)
        try:
            self._record(graph)
        except RuntimeError as error:
            self._is_hopeless = True
            for generator, spare in zip(self._generators, spares, strict=True):
                generator.graphsafe_set_state(spare)
            if isinstance(error, torch.OutOfMemoryError):
                # The capture itself has ended well: its part of the memory is given back.
                graph.reset()
                raise
            _FAILED.append(graph)
            log.warning("the training step is not captured as a CUDA graph: %s", str(error).splitlines()[0])
            return
        self._graph = graph

    def _record(self, graph: "torch.cuda.CUDAGraph") -> None:
        stream = torch.cuda.current_stream(self._device)
        with launches(self._device), capture(graph, stream):
            self._step()
