"""Where candidates train: the choice of a device, streams, and how many fit at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nas_service.errors import ServiceError
from workers.arguments import ACCELERATOR
from workers.data.arrays import TrainingData
from workers.memory import release_freed_memory, usable_memory

CPU = torch.device("cpu")
# Memory of one candidate with its graph and the libraries' work space: a guess, six times a small network's;
# corrected downwards when candidates turn out not to fit together.
CANDIDATE_BYTES = 2 * 2**30
# Multiprocessors that it keeps busy: on an H100 four at once do 1.5 times as much as one, eight 1.6 times.
CANDIDATE_MULTIPROCESSORS = 32
MOST_AT_ONCE = 8


def chosen_device(accelerator: str) -> torch.device:
    """Return the device of `--accelerator`: auto, auto:N, cpu, cuda or cuda:N.

    auto takes a GPU if there is one; auto:N the Nth, counted round, so that several workers share them.

    Raises:
        ServiceError: The name is unknown, or torch sees no such GPU.
    """
    match = ACCELERATOR.fullmatch(accelerator)
    if match is None:
        raise ServiceError(f"accelerator ({accelerator}) must be auto, auto:N, cpu, cuda or cuda:N")
    kind, number = match[1], int(match[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind is None or (kind == "auto" and not count):
        return CPU
    if kind == "cuda" and number >= count:
        raise ServiceError(f"accelerator ({accelerator}) is not there: torch sees {count} CUDA devices here")
    return torch.device("cuda", number % count)


def device_name(device: torch.device) -> str:
    """Return what a worker says of the device it trains on."""
    if device.type != "cuda":
        return device.type
    return f"{device} ({torch.cuda.get_device_name(device)})"


def candidates_at_once(device: torch.device, workers: int = 1) -> int:
    """Return how many candidates a worker should train at once: by memory and size on a GPU, else one.

    Args:
        device: Where.
        workers: Of this machine, evenly spread over its GPUs.
    """
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    by_size: int = torch.cuda.get_device_properties(device).multi_processor_count // CANDIDATE_MULTIPROCESSORS
    sharing = -(-workers // torch.cuda.device_count())
    return max(1, min(MOST_AT_ONCE, free // CANDIDATE_BYTES, by_size) // sharing)


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let this thread's work on a GPU go to a stream of its own, and wait for it at the end.

    A thread that has such a stream already keeps it.
    """
    if device.type != "cuda" or torch.cuda.current_stream(device) != torch.cuda.default_stream(device):
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(stream):
        try:
            yield
        finally:
            torch.cuda.current_stream(device).synchronize()


def resident(data: TrainingData, device: torch.device) -> TrainingData:
    """Return the data on a device, wholly arrived there: other threads' streams may read them at once."""
    moved = data.to(device)
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    return moved


def give_memory_back(device: torch.device) -> None:
    """Return all memory that is not in use to the device or the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        release_freed_memory()


def usable_on(device: torch.device) -> str:
    """Return in words how much memory there is to train in."""
    if device.type != "cuda":
        return usable_memory()
    free, total = torch.cuda.mem_get_info(device)
    return f"{device} has {total / 1e9:.1f} GB, of which {free / 1e9:.1f} GB are free"
