"""Whether this machine is quiet enough for its latencies to be believed."""

import logging
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("nas.worker")
# An idle worker looks again after so long. Where latencies are refused first soon, as most disturbances are
# over in a moment, then after twice as long each time.
NOISY_FIRST_S, NOISY_AGAIN_S = 0.5, 5.0
QUIET_AGAIN_S = 900.0


class Noise:
    """Why latencies of this machine are refused, as of the last test.

    Args:
        test: Times a known network for a moment, and returns what is wrong with the timings, or None.
    """

    def __init__(self, test: Callable[[], str | None]) -> None:
        self._test = test
        # How long the latest answer stands.
        self.stands_s = 0.0
        self.reason: str | None = None
        self._look()
        self._tell()

    @property
    def is_due(self) -> bool:
        """Whether an idle worker should test again."""
        return monotonic() - self._tested_at > self.stands_s

    def has_changed(self) -> bool:
        """Test again; True if the machine became noisy, or quiet."""
        before = self.reason
        self._look()
        if is_other := (before is None) != (self.reason is None):
            self._tell()
        return is_other

    def _look(self) -> None:
        was_noisy, self.reason = self.reason is not None, self._test()
        self._tested_at = monotonic()
        if self.reason is None:
            self.stands_s = QUIET_AGAIN_S
        else:
            self.stands_s = min(NOISY_AGAIN_S, 2 * self.stands_s if was_noisy else NOISY_FIRST_S)

    def _tell(self) -> None:
        if self.reason:
            log.warning("too noisy to measure latency: %s", self.reason)
        else:
            log.info("quiet enough to measure latency")
