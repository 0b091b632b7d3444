"""Calls that outlast an outage of the service, and the end that a process is told of."""

import logging
import random
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from nas_service.ledger.protocol import LedgerError, LedgerUnavailable

log = logging.getLogger("nas.worker")
Answer = TypeVar("Answer")
# A ledger that is away is asked again after so long, doubled each time up to the longest.
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 10.0


class Patience:
    """Repeats calls while the ledger is away, until `ends` is set."""

    def __init__(self) -> None:
        self.ends = threading.Event()

    def end_on_signals(self, what: str) -> None:
        """End on the first SIGTERM or SIGINT, at once on the second; `what` is waited for meanwhile."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.ends.is_set():
                raise SystemExit(128 + number)
            log.info("ending after this %s", what)
            self.ends.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)

    def call(self, call: Callable[[], Answer], *, even_at_end: bool = False) -> Answer | None:
        """Repeat a call for as long as the ledger is away; None when told to end meanwhile.

        With `even_at_end` one more try is made after the end was asked for, and `LedgerUnavailable` then
        raised.
        """
        delay = FIRST_RETRY_S
        while True:
            try:
                return call()
            except LedgerUnavailable as error:
                if self.ends.is_set() and even_at_end:
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
