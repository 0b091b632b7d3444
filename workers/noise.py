"""Whether this machine is quiet enough for its latencies to be believed."""

import logging
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("nas.worker")
# An idle worker looks again after so long: sooner where latencies are refused.
NOISY_AGAIN_S = 5.0
QUIET_AGAIN_S = 900.0


class Noise:
    """Why latencies of this machine are refused, as of the last test.

    Args:
        test: Times a known network for a moment, and returns what is wrong with the timings, or None.
    """

    def __init__(self, test: Callable[[], str | None]) -> None:
        self._test = test
        self._tested_at = monotonic()
        self.reason = test()
        self._tell()

    @property
    def is_due(self) -> bool:
        """Whether an idle worker should test again."""
        return monotonic() - self._tested_at > (NOISY_AGAIN_S if self.reason else QUIET_AGAIN_S)

    def has_changed(self) -> bool:
        """Test again; True if the machine became noisy, or quiet."""
        before, self.reason = self.reason, self._test()
        self._tested_at = monotonic()
        if is_other := (before is None) != (self.reason is None):
            self._tell()
        return is_other

    def _tell(self) -> None:
        if self.reason:
            log.warning("too noisy to measure latency: %s", self.reason)
        else:
            log.info("quiet enough to measure latency")
