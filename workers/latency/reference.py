"""The reference network: timed beside every other, it shows whether the machine is disturbed or drifts."""

import platform
from collections import deque
from functools import cache
from time import perf_counter

from search_spaces.architecture import Architecture
from search_spaces.deployment import deployed
from workers.latency.calibration import CalibrationFile, calibrations_folder, corrected, undisturbed_level
from workers.latency.device import runtime_of
from workers.latency.runtime import Run, Runtime, example_of

CALIBRATION_S = 0.4
PROBE_RUNS = 3
# The latest ones, which correct the undisturbed time.
REMEMBERED_PROBES = 200
# Two stages of several kernels, a depthwise one among them, and a dense head: of middling time and size among
# 24 random networks of the default space, and slowed by disturbances as the middle one of them.
REFERENCE = Architecture.from_dict(
    {
        "input_shape": [1, 28, 28],
        "classes": 10,
        "stages": [
            {
                "branches": [
                    [{"op": "conv", "channels": 12, "kernel": 7}],
                    [{"op": "conv", "channels": 6, "kernel": 3}],
                    [{"op": "conv", "channels": 6, "kernel": 5}],
                ],
                "channels": 24,
                "downsample": "avg",
            },
            {
                "branches": [
                    [{"op": "depthwise_separable", "channels": 24, "kernel": 3}],
                    [{"op": "depthwise_separable", "channels": 24, "kernel": 5}],
                ],
                "channels": 24,
                "fusion": "add",
                "connection": "residual",
                "downsample": "max",
            },
        ],
        "head": {"pool": "flatten", "dense": [128]},
    }
)


class Reference:
    """The reference network, ready to run, and its time undisturbed.

    Args:
        run: One inference.
        calibration: Where the undisturbed time is kept; found and written where it is not yet known.
    """

    def __init__(self, run: Run, calibration: CalibrationFile) -> None:
        self._run = run
        self._calibration = calibration
        self._probes_s: deque[float] = deque(maxlen=REMEMBERED_PROBES)
        known = calibration.read()
        self.undisturbed_s = self._calibrate() if known is None else known

    def probe(self) -> float:
        """Return the shortest of a few runs, in seconds."""
        times = []
        for _ in range(PROBE_RUNS):
            started = perf_counter()
            self._run()
            times.append(perf_counter() - started)
        self._probes_s.append(min(times))
        return self._probes_s[-1]

    def learn(self) -> float:
        """Correct the undisturbed time by the latest probes, and return it in seconds."""
        found = corrected(self.undisturbed_s, self._probes_s)
        if found != self.undisturbed_s:
            self.undisturbed_s = found
            self._calibration.write(found)
        return found

    def _calibrate(self) -> float:
        started = perf_counter()
        probes = [self.probe()]
        while perf_counter() - started < CALIBRATION_S:
            probes.append(self.probe())
        found = undisturbed_level(probes)
        self._calibration.write(found)
        return found


@cache
def reference_on(device: str) -> Reference:
    """Return this process's reference for a device, kept ready from the first call on."""
    runtime, network = runtime_of(device), deployed(REFERENCE)
    key = (platform.node(), runtime.machine, runtime.name, runtime.version, network.hash)
    run = reference_run(runtime)
    return Reference(run, CalibrationFile(calibrations_folder(), key))


def reference_run(runtime: Runtime) -> Run:
    """Return an inference of the reference network."""
    network = deployed(REFERENCE)
    return runtime.prepare(network, example_of(network))
