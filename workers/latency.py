"""Latency of one inference, measured in the runtime that will be used.

Protocol: one thread, batch 1, warm-up, then rounds of runs. The shortest run of a round is what the machine
can do undisturbed; the median over rounds is reported as the latency, the quantiles over all runs beside
it. Rounds go on until they agree or the time is up.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
import torch

from search_spaces import Architecture
from search_spaces.modules import build
from search_spaces.onnx_model import to_onnx

WARM_UP_RUNS = 5
WARM_UP_S = 0.02
MIN_ROUNDS = 5
RUNS_A_ROUND = 20
# Rounds agree when the middle half of them lies within this part of their median.
AGREEMENT = 0.02
TIME_CAP_S = 0.6


@dataclass(frozen=True, slots=True)
class Latency:
    """A measurement; all times in milliseconds for one example."""

    device: str
    runtime: str
    runtime_version: str
    # Median over rounds of each round's shortest run.
    median_ms: float
    min_ms: float
    # Quantiles over all runs, disturbed ones included.
    p90_ms: float
    p99_ms: float
    # Half the spread of the middle half of the rounds, relative to the median.
    relative_spread: float
    rounds: int
    runs: int
    threads: int
    batch: int
    machine: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def measure(architecture: Architecture, device: str, *, seed: int = 0) -> Latency:
    """Measure an architecture with random weights, which cost the same time as trained ones.

    Args:
        architecture: What to measure.
        device: "cpu" for ONNX Runtime, "cpu-torch" for the torch module; both on one thread of this machine.
        seed: Of weights and input.
    """
    example = np.random.default_rng(seed).standard_normal((1, *architecture.input_shape)).astype(np.float32)
    if device == "cpu":
        run, version = _onnx_runtime(architecture, example, seed), onnxruntime.__version__
    else:
        run, version = _torch(architecture, example, seed), torch.__version__
    _warm_up(run)
    rounds = _rounds(run)
    everything = np.concatenate(rounds) * 1e3
    shortest = np.array([times.min() for times in rounds]) * 1e3
    median = float(np.median(shortest))
    return Latency(
        device=device,
        runtime="onnxruntime" if device == "cpu" else "torch",
        runtime_version=version,
        median_ms=median,
        min_ms=float(shortest.min()),
        p90_ms=float(np.quantile(everything, 0.9)),
        p99_ms=float(np.quantile(everything, 0.99)),
        relative_spread=_spread(shortest),
        rounds=len(rounds),
        runs=len(everything),
        threads=1,
        batch=1,
        machine=machine(),
    )


@cache
def machine() -> str:
    """Return a short description of this machine: processor and number of cores."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def _onnx_runtime(
    architecture: Architecture, example: np.ndarray[Any, Any], seed: int
) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads must not spin on a core where another worker trains.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        to_onnx(architecture, seed=seed), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"input": example}
    return lambda: session.run(None, inputs)


def _torch(architecture: Architecture, example: np.ndarray[Any, Any], seed: int) -> Callable[[], object]:
    network = build(architecture, seed=seed).eval()
    tensor = torch.from_numpy(example)

    def run() -> object:
        with torch.inference_mode():
            return network(tensor)

    return run


def _warm_up(run: Callable[[], object]) -> None:
    started, runs = perf_counter(), 0
    while runs < WARM_UP_RUNS or perf_counter() - started < WARM_UP_S:
        run()
        runs += 1


def _rounds(run: Callable[[], object]) -> list[np.ndarray[Any, Any]]:
    started = perf_counter()
    rounds: list[np.ndarray[Any, Any]] = []
    while True:
        rounds.append(_round(run))
        if len(rounds) < MIN_ROUNDS:
            continue
        shortest = np.array([times.min() for times in rounds])
        if _spread(shortest) < AGREEMENT or perf_counter() - started > TIME_CAP_S:
            return rounds


def _round(run: Callable[[], object]) -> np.ndarray[Any, Any]:
    times = np.empty(RUNS_A_ROUND)
    for index in range(RUNS_A_ROUND):
        started = perf_counter()
        run()
        times[index] = perf_counter() - started
    return times


def _spread(shortest: np.ndarray[Any, Any]) -> float:
    low, high = np.quantile(shortest, [0.25, 0.75])
    return float((high - low) / 2 / np.median(shortest))
