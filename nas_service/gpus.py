"""How many GPUs workers may find here, known without torch."""

import os
from pathlib import Path

# One folder a GPU, made by NVIDIA's driver.
DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")


def visible_gpus() -> int:
    """Return the number of NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves, or that the driver knows."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return sum(1 for _ in DRIVER_FOLDER.iterdir()) if DRIVER_FOLDER.is_dir() else 0
    return sum(1 for name in named.split(",") if name.strip() not in ("", "-1"))


def worker_options(number: int, workers: int) -> tuple[str, ...]:
    """Return the options by which a machine's workers, numbered from 0, share its GPUs and memory."""
    return ("--accelerator", f"auto:{number}", "--workers-here", str(workers))
