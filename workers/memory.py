"""What a worker's process keeps and may use: memory, freed blocks, and the code of kernels."""

import ctypes
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas_service.containers import memory_left

# The rest stays free for the system and for what grows outside of the workers.
USED_SHARE = 0.9
# mallopt's numbers in glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_INT = 2**31 - 1


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Import modules without looking for garbage among what they make, which stays for good.

    Python looks through a million objects again and again meanwhile: 0.7 s of 3.3 s for torch and a worker's
    modules (AMD EPYC, Python 3.11). What is there afterwards is left out of later searches too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def keep_compiled_code(cache: Path) -> None:
    """Let the compiler of a GPU's kernels keep what it made in a folder of `cache`, for later processes.

    What lies there is run, so that the folder is made for this user alone.
    """
    folder = cache / "triton"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("TRITON_CACHE_DIR", str(folder))


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, so that the maps of one step take the place of the last one's.

    glibc gives large blocks back at once, and each step then faults its pages in anew: 6,500 faults and
    15 ms of 53 ms for a step of a two-convolution network at batch 128; none with this. Returns whether the
    C library took it; only glibc does.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_INT)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST_INT))


def release_freed_memory() -> None:
    """Hand what malloc has kept back to the kernel, where the C library can."""
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def limit_memory(workers: int = 1, *, gigabytes: float | None = None) -> int | None:
    """Make allocations beyond this process's share fail, instead of waking the kernel's killer.

    Args:
        workers: Processes that share what is available now, this one among them.
        gigabytes: How much this process may use in all, 10^9 bytes each, instead of a share.

    Returns:
        The bound in bytes; None where the machine does not tell what is available.
    """
    free = available_bytes()
    if gigabytes is not None:
        bound = round(gigabytes * 1e9)
    elif free is None:
        return None
    else:
        bound = data_bytes() + round(USED_SHARE * free / workers)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    return bound


def usable_memory() -> str:
    """Return in words how much memory this process may use."""
    bound, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if bound == resource.RLIM_INFINITY:
        return "no limit is set on this process"
    return f"this process may use {bound / 1e9:.1f} GB"


def available_bytes() -> int | None:
    """Return how much memory is left: of the machine, or of the container where that is less."""
    known = [_machine_bytes(), memory_left()]
    return min((size for size in known if size is not None), default=None)


def data_bytes() -> int:
    """Return how much of what RLIMIT_DATA counts this process has mapped already."""
    return 1024 * _kilobytes(Path("/proc/self/status"), "VmData")


def _of_libc(name: str) -> Any | None:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None


def _machine_bytes() -> int | None:
    kilobytes = _kilobytes(Path("/proc/meminfo"), "MemAvailable")
    return 1024 * kilobytes or None


def _kilobytes(path: Path, name: str) -> int:
    """Return a line's figure in a file of /proc; 0 where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith(f"{name}:")), None)
    return int(found.split()[1]) if found else 0
