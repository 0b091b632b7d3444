"""The latency of one architecture on this machine undisturbed.

After MLPerf Tiny (Banbury et al. 2021, https://arxiv.org/abs/2106.07597): batch 1, warm-up, medians of
repeated runs. Beyond it, a reference network is timed before and after each short burst of the measured one;
see docs/decisions/0005-latency-is-divided-by-a-reference.md.
"""

from collections.abc import Sequence

import numpy as np

from nas_service.measurements import Measurement
from search_spaces.architecture import Architecture
from search_spaces.deployment import DeployedNetwork, deployed
from workers.latency.device import runtime_of
from workers.latency.estimate import Estimate, Round, estimate
from workers.latency.reference import reference_on
from workers.latency.rounds import take_rounds
from workers.latency.runtime import Run, Runtime, example_of

TIME_CAP_S = 0.8


def measure(
    architecture: Architecture, device: str = "cpu", *, seed: int = 0, time_cap_s: float = TIME_CAP_S
) -> Measurement:
    """Measure the folded network of an architecture, with weights that cost the same time as trained ones.

    Args:
        architecture: What to measure.
        device: "cpu" for ONNX Runtime on one thread, "cpu-torch" and "cuda" for the torch module; any other
            name is that of the device which this machine is, and measured as "cpu".
        seed: Of weights and input.
        time_cap_s: When to make do with what there is; a round is always finished.

    Raises:
        DeviceUnavailable: This machine has no such device.
        ValueError: The time cap is not positive.
    """
    return measure_network(deployed(architecture, seed=seed), device, seed=seed, time_cap_s=time_cap_s)


def measure_network(
    network: DeployedNetwork, device: str = "cpu", *, seed: int = 0, time_cap_s: float = TIME_CAP_S
) -> Measurement:
    """Measure a network as it is folded; see `measure`."""
    if not time_cap_s > 0:
        raise ValueError(f"time_cap_s ({time_cap_s}) must be positive")
    runtime = runtime_of(device)
    with runtime.alone():
        reference = reference_on(_kind(device))
        rounds = take_rounds(runtime.prepare(network, example_of(network, seed)), reference, time_cap_s)
    return _measurement(device, runtime, network, rounds, reference.learn())


def time_run(run: Run, device: str = "cpu", *, time_cap_s: float = TIME_CAP_S) -> Estimate:
    """Time anything else that runs one example on a device, by the same protocol; times in seconds."""
    with runtime_of(device).alone():
        reference = reference_on(_kind(device))
        return estimate(take_rounds(run, reference, time_cap_s), reference.learn())


def _kind(device: str) -> str:
    """Return which reference stands beside a device: named ones share that of the processor."""
    return device if device in ("cpu-torch", "cuda") else "cpu"


def _measurement(
    device: str, runtime: Runtime, network: DeployedNetwork, rounds: Sequence[Round], undisturbed_s: float
) -> Measurement:
    found = estimate(rounds, undisturbed_s)
    all_ms = 1e3 * np.concatenate([each.times_s for each in rounds])
    p90_ms, p99_ms = np.quantile(all_ms, [0.9, 0.99])
    return Measurement(
        device=device,
        runtime=runtime.name,
        runtime_version=runtime.version,
        machine=runtime.machine,
        network_hash=network.hash,
        median_ms=1e3 * found.median_s,
        low_ms=1e3 * found.low_s,
        high_ms=1e3 * found.high_s,
        min_ms=float(all_ms.min()),
        p90_ms=float(p90_ms),
        p99_ms=float(p99_ms),
        reference_ms=1e3 * found.reference_s,
        rounds=len(rounds),
        runs=len(all_ms),
        is_noisy=found.is_noisy,
    )
