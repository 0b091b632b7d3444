"""How often one may guess, and how many streams one may hold."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

WINDOW_S = 60.0


class FailedAttempts:
    """Counts failures over the last minute, by address and overall.

    Args:
        per_address: After so many an address waits.
        overall: After so many everybody waits.
        clock: Seconds.
    """

    def __init__(self, per_address: int, overall: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_address, self._overall, self._clock = per_address, overall, clock
        self._by_address: dict[str, deque[float]] = {}
        self._all: deque[tuple[float, str]] = deque()

    def note(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._forget(now)
        self._all.append((now, address))
        self._by_address.setdefault(address, deque()).append(now)

    def address_waits_s(self, address: str) -> int:
        """Return for how many seconds an address has to wait; 0 where it may try."""
        self._forget(self._clock())
        failures = self._by_address.get(address, ())
        return self._wait_s(failures[-self._per_address]) if len(failures) >= self._per_address else 0

    def all_wait_s(self) -> int:
        """Return for how many seconds everybody has to wait."""
        self._forget(self._clock())
        return self._wait_s(self._all[-self._overall][0]) if len(self._all) >= self._overall else 0

    def _wait_s(self, failed_at: float) -> int:
        return max(1, math.ceil(failed_at + WINDOW_S - self._clock()))

    def _forget(self, now: float) -> None:
        while self._all and self._all[0][0] <= now - WINDOW_S:
            _, address = self._all.popleft()
            self._by_address[address].popleft()
            if not self._by_address[address]:
                del self._by_address[address]


class Places:
    """How many streams each holder has open.

    Args:
        most: So many each.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[Hashable] = Counter()

    def has_room(self, holder: Hashable) -> bool:
        """Whether a holder may open one more."""
        return self._taken[holder] < self._most

    @contextmanager
    def place(self, holder: Hashable) -> Iterator[None]:
        """Hold one place for as long as the context lasts."""
        self._taken[holder] += 1
        try:
            yield
        finally:
            self._taken[holder] -= 1
            if not self._taken[holder]:
                del self._taken[holder]
