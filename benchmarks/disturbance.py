"""A process that disturbs a measurement: changing phases of work on one core until it is killed.

python -m benchmarks.disturbance --core 0 --seed 1
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

# Seconds that a phase lasts, and that work and pause last within short bursts.
PHASE_S, BURST_S = (0.1, 2.0), (0.001, 0.02)
COPIED_BYTES = 32 * 2**20


@contextmanager
def disturbed(core: int, seed: int) -> Iterator[None]:
    """Disturb from another process as long as the block runs."""
    command = [sys.executable, "-m", "benchmarks.disturbance", "--core", str(core), "--seed", str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the disturbance ended by itself with {process.returncode}")
    finally:
        process.kill()
        process.wait()


def pin(core: int) -> None:
    """Keep this process on one core, where the system knows how."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def main() -> None:
    """Work in phases that are drawn at random."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    pin(options.core)
    generator = np.random.default_rng(options.seed)
    phases = [time.sleep, _multiply(generator), _copy(), _bursts(generator)]
    while True:
        phases[generator.integers(len(phases))](generator.uniform(*PHASE_S))


def _multiply(generator: np.random.Generator) -> Callable[[float], None]:
    matrix = generator.standard_normal((384, 384)).astype(np.float32)

    def work(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            matrix @ matrix

    return work


def _copy() -> Callable[[float], None]:
    source, target = np.ones(COPIED_BYTES, np.uint8), np.zeros(COPIED_BYTES, np.uint8)

    def work(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            np.copyto(target, source)

    return work


def _bursts(generator: np.random.Generator) -> Callable[[float], None]:
    multiply = _multiply(generator)

    def work(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            multiply(generator.uniform(*BURST_S))
            time.sleep(generator.uniform(*BURST_S))

    return work


if __name__ == "__main__":
    main()
