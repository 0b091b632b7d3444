"""Slots: one process each, found again by whoever comes next."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_service.processes import Slot, restart_ended, stop

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    slot = Slot("sleeper", SLEEP, tmp_path)
    yield slot
    slot.signal(signal.SIGKILL)
    if slot.process is not None:
        slot.process.wait()


def until_dead(slot: Slot) -> None:
    deadline = time.monotonic() + 60
    while slot.is_alive():
        assert time.monotonic() < deadline


def test_a_living_process_is_adopted_and_not_started_twice(slot: Slot, tmp_path: Path) -> None:
    slot.start()
    successor = Slot("sleeper", SLEEP, tmp_path)
    assert successor.is_alive()
    assert successor.pid() == slot.pid()
    successor.start()
    assert successor.process is None


def test_a_dead_process_is_started_again(slot: Slot) -> None:
    slot.start()
    first = slot.pid()
    slot.signal(signal.SIGKILL)
    until_dead(slot)
    slot.started_at -= 10
    assert restart_ended([slot]) == [slot]
    assert slot.is_alive()
    assert slot.pid() != first


def test_stop_ends_adopted_processes_too(slot: Slot, tmp_path: Path) -> None:
    slot.start()
    assert slot.process is not None
    stop([Slot("sleeper", SLEEP, tmp_path)], grace_s=0.5)
    assert slot.process.wait(timeout=60) != 0


def test_a_slot_tells_how_its_process_ended(slot: Slot, tmp_path: Path) -> None:
    slot.start()
    slot.signal(signal.SIGKILL)
    until_dead(slot)
    slot.started_at -= 10
    restart_ended([slot])
    assert slot.ending == "was killed by signal 9 (SIGKILL)"
    leaver = Slot("leaver", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    leaver.start()
    until_dead(leaver)
    leaver.restart()
    assert leaver.ending == "ended by itself with exit code 3"
    until_dead(leaver)
