"""Worker processes that a command keeps while it waits."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from nas_service.cli import local_workers
from nas_service.cli.local_workers import MAX_RESTARTS, LocalWorkers
from nas_service.errors import ServiceError
from nas_service.processes import Slot
from nas_service.settings import Settings

Make = Callable[..., LocalWorkers]


@pytest.fixture
def make(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return what makes workers of lines of Python, and counts in the file `starts` how often each starts."""
    monkeypatch.setattr("nas_service.processes.RESTART_DELAY_S", 0.0)
    made = []

    def workers(*lines: str) -> LocalWorkers:
        local = LocalWorkers(settings, 1, len(lines))
        count = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')"
        local._slots = [
            Slot(f"slot-{place}", [sys.executable, "-c", f"{count}; {line}"], tmp_path / "run")
            for place, line in enumerate(lines)
        ]
        local.start()
        made.append(local)
        return local

    yield workers
    for local in made:
        local.stop()


def supervised(local: LocalWorkers, seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        local.supervise()
        sleep(0.02)


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text())


def test_workers_that_found_nothing_more_are_left_alone_while_another_works(
    make: Make, tmp_path: Path
) -> None:
    local = make("pass", "pass", "import time; time.sleep(60)")
    supervised(local, 1.5)
    assert starts(tmp_path) == 3


def test_workers_that_keep_dying_are_given_up(make: Make, tmp_path: Path) -> None:
    local = make("raise SystemExit(3)", "import time; time.sleep(60)")
    with pytest.raises(ServiceError, match="keep dying"):
        supervised(local, 30.0)
    assert starts(tmp_path) >= MAX_RESTARTS + 2


def test_one_looks_again_when_all_have_ended(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_workers, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(local_workers, "MAX_LOOKS", 2)
    local = make("pass", "pass")
    with pytest.raises(ServiceError, match="find nothing to do"):
        supervised(local, 30.0)
    # The last one may have been ended before it could count itself.
    assert starts(tmp_path) in (4, 5)
