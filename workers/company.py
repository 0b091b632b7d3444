"""Candidates that train at once in one process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Company:
    """Lets candidates train together, and one alone when it needs all memory.

    Args:
        places: How many may train at once; `shrink` lowers it.
    """

    def __init__(self, places: int = 1) -> None:
        self.places = places
        self._measuring = threading.Lock()
        self._changed = threading.Condition()
        self._present = 0
        self._waiting_alone = 0
        self._is_alone = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Train beside others; waits while one trains alone, or waits to."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone and not self._waiting_alone)
            self._present += 1
        try:
            yield
        finally:
            with self._changed:
                self._present -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Train with nobody beside; waits until all others have ended, and nobody new begins."""
        with self._changed:
            self._waiting_alone += 1
            try:
                self._changed.wait_for(lambda: not self._is_alone and not self._present)
            finally:
                self._waiting_alone -= 1
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()

    @contextmanager
    def quiet(self, device: str) -> Iterator[None]:
        """Measure latency: one at a time, and on a GPU while nobody trains on it."""
        with self.alone() if device == "cuda" else self._measuring:
            yield

    def shrink(self) -> None:
        """Take a place away, if those who train now did not fit together."""
        with self._changed:
            if self._present > 1:
                self.places = max(1, min(self.places, self._present - 1))
