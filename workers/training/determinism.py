"""Deterministic algorithms: a switch of the whole process, which candidates in several threads share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Switch:
    """Holds the switch in one position for as long as anybody needs it there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders = 0
        self._held_at = self._before = False

    def take(self, position: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._holders or self._held_at == position)
            if not self._holders:
                self._before = torch.are_deterministic_algorithms_enabled()
                self._held_at = position
                _turn(position or self._before)
            self._holders += 1

    def give_back(self) -> None:
        with self._changed:
            self._holders -= 1
            if not self._holders:
                _turn(self._before)
                self._changed.notify_all()


def _turn(position: bool) -> None:
    # torch loads its compiler even for leaving the switch as it is: a second of a worker's start.
    if position != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(position)


_SWITCH = _Switch()


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Let torch use deterministic algorithms alone, or as before where they are not wanted.

    A thread that needs the switch in its other position waits until nobody holds it.
    """
    _SWITCH.take(wanted)
    try:
        yield
    finally:
        _SWITCH.give_back()
