"""Whether this machine is quiet enough to report latency: what a worker finds out when it joins."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from workers.latency.device import runtime_of
from workers.latency.estimate import estimate
from workers.latency.reference import reference_on, reference_run
from workers.latency.rounds import take_rounds

NOISE_LIMIT = 0.15
# Several short measurements of one network, which should agree.
BLOCKS, BLOCK_S = 6, 0.06
# A clock that ticks slower than this part of the reference's time cannot tell networks apart.
CLOCK_LIMIT = 0.01


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a machine's timings are worth."""

    clock_resolution_s: float
    # Processes that want to run, over the last minute, a core; None where the system does not say.
    load: float | None
    # By which part short measurements of the reference network differ.
    timing_noise: float
    # Of the reference network undisturbed, as far as is known.
    reference_ms: float
    # Why the machine is too noisy to report latency, in words; None where it is not.
    reason: str | None


def self_test(*, noise_limit: float = NOISE_LIMIT) -> SelfTest:
    """Measure the reference network a few times on the processor; under a second.

    A neighbour that trains on another core is no reason: its disturbance is recognised and divided out.

    Args:
        noise_limit: By which part the measurements may differ.
    """
    reference, run = reference_on("cpu"), reference_run(runtime_of("cpu"))
    figures = [
        estimate(take_rounds(run, reference, BLOCK_S), reference.learn()).median_s for _ in range(BLOCKS)
    ]
    noise, resolution = timing_noise(figures), time.get_clock_info("perf_counter").resolution
    return SelfTest(
        clock_resolution_s=resolution,
        load=_load(),
        timing_noise=noise,
        reference_ms=1e3 * reference.undisturbed_s,
        reason=reason(noise, noise_limit, resolution, reference.undisturbed_s),
    )


def timing_noise(figures: Sequence[float]) -> float:
    """Return by which part the second largest exceeds the second smallest: one hiccup is no noise.

    Example:
        >>> timing_noise([2.0, 2.5, 9.0, 1.0])
        0.25
    """
    ordered = sorted(figures)
    return ordered[-2] / ordered[1] - 1


def reason(noise: float, noise_limit: float, resolution_s: float, reference_s: float) -> str | None:
    """Return why timings are worth nothing, in words, or None.

    Example:
        >>> reason(0.31, 0.15, 1e-9, 1e-4)
        'timings of one network differ by 31 %, at most 15 % is allowed; other work takes its core'
    """
    if resolution_s > CLOCK_LIMIT * reference_s:
        return (
            f"the clock ticks every {1e6 * resolution_s:.3g} us, at most {100 * CLOCK_LIMIT:.0f} % of the "
            f"reference network's {1e6 * reference_s:.3g} us is allowed"
        )
    if noise > noise_limit:
        return (
            f"timings of one network differ by {100 * noise:.0f} %, at most {100 * noise_limit:.0f} % is "
            "allowed; other work takes its core"
        )
    return None


def _load() -> float | None:
    # Windows has no load average.
    if not hasattr(os, "getloadavg"):
        return None
    return os.getloadavg()[0] / (os.cpu_count() or 1)
