"""How many workers are wanted, and what comes of it."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_service import pools
from nas_service.cli.main import run
from nas_service.errors import Conflict
from nas_service.pools import LocalPool, PoolFiles, PoolStatus, default_slots
from nas_service.processes import Slot
from nas_service.settings import Settings

# Ends a while after it is told to, as a worker does that finishes its epoch; says so when it began.
EPOCH = (
    "import signal, sys, time, pathlib; ends = []; signal.signal(signal.SIGTERM, lambda *_: ends.append(1)); "
    "pathlib.Path(sys.argv[1]).touch()\nwhile not ends: time.sleep(0.01)\ntime.sleep(0.2)"
)


@pytest.fixture
def files(settings: Settings) -> PoolFiles:
    return PoolFiles(settings.data_home)


@pytest.fixture
def pool(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPool]:
    """Return a pool whose workers do nothing but end in order."""

    def idle_worker(settings: Settings, name: str, *_arguments: str, log: Path | None = None) -> Slot:
        folder = settings.data_home / "run"
        return Slot(name, [sys.executable, "-c", EPOCH, str(folder / f"{name}.ready")], folder)

    monkeypatch.setattr(pools, "worker_slot", idle_worker)
    pool = LocalPool(settings)
    yield pool
    for slot in pool._slots:
        slot.signal(signal.SIGKILL)
        if slot.process is not None:
            slot.process.wait()


def until(pool: LocalPool, settings: Settings, running: int, *, ready: bool = True) -> None:
    """Supervise until so many workers run, and have begun."""
    files = PoolFiles(settings.data_home)
    deadline = time.monotonic() + 60
    while True:
        pool.supervise()
        status = files.status()
        begun = [(slot.folder / f"{slot.name}.ready").exists() for slot in pool._slots]
        if status and status.running == running and len(pool._slots) == running and (all(begun) or not ready):
            return
        assert time.monotonic() < deadline


def test_workers_follow_the_wanted_number(pool: LocalPool, files: PoolFiles, settings: Settings) -> None:
    files.want(1)
    until(pool, settings, 1)
    first = pool._slots[0].pid()
    files.want(3)
    until(pool, settings, 3)
    assert pool._slots[0].pid() == first
    assert files.status() == PoolStatus("local", wanted=3, running=3)


def test_surplus_workers_end_in_order_and_are_not_killed(
    pool: LocalPool, files: PoolFiles, settings: Settings
) -> None:
    files.want(2)
    until(pool, settings, 2)
    surplus = pool._slots[1].process
    assert surplus is not None
    files.want(1)
    until(pool, settings, 1)
    assert surplus.wait(timeout=60) == 0
    assert pool._slots[0].is_alive()


def test_a_worker_that_dies_is_started_again_and_reported(
    pool: LocalPool, files: PoolFiles, settings: Settings
) -> None:
    files.want(1)
    assert pool.supervise() == []
    slot = pool._slots[0]
    slot.signal(signal.SIGKILL)
    assert slot.process is not None
    slot.process.wait()
    slot.started_at -= 10
    assert pool.supervise() == [slot]
    assert slot.is_alive()


def test_a_worker_that_leaves_is_started_again_when_it_is_wanted_after_all(
    pool: LocalPool, files: PoolFiles, settings: Settings
) -> None:
    files.want(1)
    until(pool, settings, 1)
    leaving = pool._slots[0]
    leaving.started_at -= 10
    first = leaving.pid()
    files.want(0)
    pool.supervise()
    files.want(1)
    assert leaving.process is not None
    assert leaving.process.wait(timeout=60) == 0
    assert pool.supervise() == []
    until(pool, settings, 1)
    assert pool._slots[0].pid() != first


def test_a_second_up_on_the_same_folder_is_refused(files: PoolFiles, settings: Settings) -> None:
    assert not files.is_held()
    with files.held():
        assert files.is_held()
        with pytest.raises(Conflict, match="runs already"), PoolFiles(settings.data_home).held():
            pass
    assert not files.is_held()


def test_scale_is_refused_where_nothing_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    assert run(["worker", "scale", "3"]) == 4
    assert "no `nas up` runs on" in capsys.readouterr().err
    assert run(["worker", "scale", "--", "-1"]) == 2


def test_scale_says_what_is_wanted_and_what_runs(
    settings: Settings,
    files: PoolFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    with files.held():
        files.write_status(PoolStatus("ray", wanted=4, running=2, nodes=("alpha", "beta")))
        assert run(["worker", "scale", "4", "--json"]) == 0
    assert files.wanted() == 4
    assert '"running": 2' in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [["--slots", "2"], ["--slots-per-gpu", "2"], ["--ray-address", "10.0.0.1"], ["--ray-port", "7000"]],
)
def test_options_of_ray_are_refused_without_it(
    options: list[str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    assert run(["up", *options]) == 2
    assert "goes with --engine ray alone" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["0.0.0.0", "head", "::1"])
def test_what_no_node_can_reach_is_no_address(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    assert run(["up", "--engine", "ray", "--ray-address", address]) == 2
    assert "ray_address" in capsys.readouterr().err


def test_one_slot_a_core_without_gpus() -> None:
    assert default_slots(0, 4) == len(os.sched_getaffinity(0))
    assert default_slots(2, 3) == 6
