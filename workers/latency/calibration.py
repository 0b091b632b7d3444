"""How long the reference network takes on this machine undisturbed: found once, kept in a file, corrected."""

import hashlib
import json
import math
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

# Of the probes at the first calibration: undisturbed even where other work runs nine tenths of the time.
LEVEL = 0.05
# Probes that are faster than the known time by this part, so many of them, show that it was found under load.
BEATEN_BY, BEATEN_TIMES = 0.03, 20


def undisturbed_level(probes_s: Sequence[float]) -> float:
    """Return the reference's undisturbed time by its probes: a low quantile, not the luckiest."""
    return float(np.quantile(probes_s, LEVEL))


def corrected(undisturbed_s: float, probes_s: Collection[float]) -> float:
    """Return the undisturbed time after more probes: a lower one where many of them beat the known one.

    Small differences change nothing, so that measurements of different hours stay comparable.

    Example:
        >>> corrected(1.0, [0.99] * 50), corrected(1.0, [1.5] * 50 + [0.7] * 20)
        (1.0, 0.7)
    """
    beating = [probe for probe in probes_s if probe < (1 - BEATEN_BY) * undisturbed_s]
    return float(np.median(beating)) if len(beating) >= BEATEN_TIMES else undisturbed_s


class CalibrationFile:
    """The undisturbed time of one reference on one machine in one runtime.

    All workers of a machine share it, so that their measurements compare. A folder that cannot be written, or
    a file that cannot be read, only means that each process finds the time anew.

    Args:
        folder: Where calibrations lie.
        key: Machine, runtime with version, and reference; any of them new means a new calibration.
    """

    def __init__(self, folder: Path, key: Sequence[str]) -> None:
        self._key = list(key)
        name = hashlib.sha256(json.dumps(self._key).encode()).hexdigest()[:16]
        self._path = folder / f"{name}.json"

    def read(self) -> float | None:
        """Return the time in seconds, or None where there is none yet."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            seconds = float(json.loads(self._path.read_text(encoding="utf-8"))["undisturbed_s"])
            if math.isfinite(seconds) and seconds > 0:
                return seconds
        return None

    def write(self, undisturbed_s: float) -> None:
        """Keep a time; another process sees the old file or the new one, never half of it."""
        content = json.dumps({"undisturbed_s": undisturbed_s, "of": self._key})
        unfinished = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(content, encoding="utf-8")
            unfinished.replace(self._path)


def calibrations_folder() -> Path:
    """Return where this machine's calibrations lie: in the data folder that `NAS_HOME` names."""
    return Path(os.environ.get("NAS_HOME", "~/.nas")).expanduser() / "latency"
