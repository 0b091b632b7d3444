"""Where candidates train: the choice of a device, streams, and how many fit at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nas_service.errors import ServiceError
from workers.data.arrays import TrainingData
from workers.memory import release_freed_memory, usable_memory

CPU = torch.device("cpu")
# First guesses, never measured, and corrected downwards when candidates turn out not to fit together: memory
# of one candidate with its graph and the libraries' work space; multiprocessors that it keeps busy.
CANDIDATE_BYTES = 2 * 2**30
CANDIDATE_MULTIPROCESSORS = 16
MOST_AT_ONCE = 8


def chosen_device(accelerator: str) -> torch.device:
    """Return the device of `--accelerator`: auto, cpu, cuda or cuda:N; auto takes a GPU if there is one.

    Raises:
        ServiceError: The name is unknown, or torch sees no such GPU.
    """
    if accelerator == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, number = accelerator.partition(":")
    if accelerator == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or not (number or "0").isdecimal() or accelerator.endswith(":"):
        raise ServiceError(f"accelerator ({accelerator}) must be auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise ServiceError(f"accelerator ({accelerator}) is not there: torch sees {count} CUDA devices here")
    return torch.device("cuda", int(number or 0))


def device_name(device: torch.device) -> str:
    """Return what a worker says of the device it trains on."""
    if device.type != "cuda":
        return device.type
    return f"{device} ({torch.cuda.get_device_name(device)})"


def candidates_at_once(device: torch.device) -> int:
    """Return how many candidates a worker should train at once: by memory and size on a GPU, else one."""
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    by_size: int = torch.cuda.get_device_properties(device).multi_processor_count // CANDIDATE_MULTIPROCESSORS
    return max(1, min(MOST_AT_ONCE, free // CANDIDATE_BYTES, by_size))


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let this thread's work on a GPU go to a stream of its own, and wait for it at the end."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device), torch.cuda.stream(torch.cuda.Stream(device)):  # type: ignore[no-untyped-call]
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
