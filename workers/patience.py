"""Calls that outlast an outage of the service, and the end that a process is told of."""

import logging
import os
import random
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import TypeVar

from nas_service.ledger.protocol import LedgerError, LedgerUnavailable

log = logging.getLogger("nas.worker")
Answer = TypeVar("Answer")
# A ledger that is away is asked again after so long, doubled each time up to the longest.
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 10.0
# How long what runs may take when a process is told to end, and how long storing and leaving then may.
DRAIN_S = 8.0
LEAVE_S = 1.5
# A second signal ends a process within this time, whatever it does.
AT_ONCE_S = 1.0


class Patience:
    """Repeats calls while the ledger is away, until `ends` is set.

    Args:
        drain_s: After the end was asked for, what runs may take so many seconds more.
    """

    def __init__(self, drain_s: float = DRAIN_S) -> None:
        self.ends = threading.Event()
        self._drain_s = drain_s
        self._due = float("inf")
        self._announce: Callable[[], object] | None = None
        self._announcing: threading.Thread | None = None

    def end(self) -> None:
        """Ask for the end, and announce it in the background."""
        if self.ends.is_set():
            return
        self._due = monotonic() + self._drain_s
        if self._announce:
            announcing = threading.Thread(
                target=self.try_once, args=(self._announce,), name="announcement", daemon=True
            )
            announcing.start()
            # Before the end is seen: whoever sees it may wait for the announcement.
            self._announcing = announcing
        self.ends.set()

    def announce_by(self, call: Callable[[], object]) -> None:
        """Make this call once the end is asked for."""
        self._announce = call

    def settle(self) -> None:
        """Wait a moment for the announcement, so that nothing overtakes it."""
        if self._announcing:
            self._announcing.join(timeout=LEAVE_S)

    def is_overdue(self) -> bool:
        """Whether the end was asked for so long ago that what runs must be abandoned."""
        return monotonic() > self._due

    def end_on_signals(self, what: str) -> None:
        """End on the first SIGTERM or SIGINT, at once on the second; `what` is waited for meanwhile.

        Behind the first the process ends within `drain_s` and 1.5 seconds, whatever hangs: a result
        then waits in the spool, and a lease runs out.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.ends.is_set():
                log.warning("ending at once")
                _end_in(AT_ONCE_S, 128 + number)
                raise SystemExit(128 + number)
            log.info("ending after this %s, or in %g s", what, self._drain_s)
            _end_in(self._drain_s + LEAVE_S, 128 + number)
            self.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)

    def call(
        self, call: Callable[[], Answer], *, even_at_end: bool = False, tries: int | None = None
    ) -> Answer | None:
        """Repeat a call for as long as the ledger is away; None when told to end meanwhile.

        Args:
            call: Raises `LedgerUnavailable` while the ledger is away.
            even_at_end: Make one more try after the end was asked for, then raise `LedgerUnavailable`.
            tries: Raise `LedgerUnavailable` after so many.
        """
        delay = FIRST_RETRY_S
        while True:
            try:
                return call()
            except LedgerUnavailable as error:
                tries = tries - 1 if tries is not None else None
                if (self.ends.is_set() and even_at_end) or tries == 0:
                    raise
                log.warning("the service is away (%s); trying again in %.1f s", error, delay)
            if self.ends.wait(delay * random.uniform(0.5, 1.0)) and not even_at_end:
                return None
            delay = min(2 * delay, LONGEST_RETRY_S)

    def try_once(self, call: Callable[[], object]) -> None:
        """Make a call that is a courtesy: leases run out by themselves."""
        try:
            call()
        except LedgerError as error:
            log.warning("%s", error)


def _end_in(seconds: float, status: int) -> None:
    """End this process after a while, unless it has ended by itself."""

    def end() -> None:
        log.warning("ending although something hangs")
        os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
