"""The workers of `nas up`: how many are wanted, how many run, and who keeps the two equal.

`nas worker scale` and the supervisor meet in two files of `$NAS_HOME/run`: one says what is wanted, the other
what is.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from nas_service.errors import Conflict
from nas_service.gpus import worker_options
from nas_service.processes import RESTART_DELAY_S, Slot, stop, worker_slot
from nas_service.settings import Settings

RAY_PORT = 6379
MAX_WORKERS = 10_000
# A head drains its workers on all nodes before it ends.
RAY_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """What a pool last said of itself."""

    engine: str
    # None: one worker in every slot of the cluster.
    wanted: int | None
    running: int
    # Nodes with workers; only a cluster has some.
    nodes: tuple[str, ...] = ()


class PoolFiles:
    """The files by which `nas up` is told how many workers are wanted."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "run"
        self._lock, self._wanted, self._status = (
            self._folder / name for name in ("up.lock", "workers.wanted", "workers.json")
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the data folder's only `nas up`; raises `Conflict` where one runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(
                    f"`nas up` runs already on {self._folder.parent}; its workers: nas worker scale N"
                ) from error
            self._status.unlink(missing_ok=True)
            yield

    def is_held(self) -> bool:
        """Whether a `nas up` runs on the data folder."""
        try:
            with self._lock.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def want(self, workers: int | None) -> None:
        """Write down how many workers are wanted; None for one in every slot."""
        _write(self._wanted, "all" if workers is None else str(workers))

    def wanted(self) -> int | None:
        """Return how many workers are wanted; None for one in every slot."""
        try:
            text = self._wanted.read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdecimal() else None

    def write_status(self, status: PoolStatus) -> None:
        """Write down what runs, if that is news."""
        if status != self.status():
            _write(self._status, json.dumps(asdict(status)))

    def status(self) -> PoolStatus | None:
        """Return what runs; None before the pool has said so."""
        try:
            data = json.loads(self._status.read_text())
        except FileNotFoundError:
            return None
        return PoolStatus(**{**data, "nodes": tuple(data["nodes"])})


class Pool(Protocol):
    """The workers of one `nas up`."""

    def supervise(self) -> list[Slot]:
        """Make what runs equal to what is wanted, and return what ended by itself and was started again."""

    def stop(self, *, is_hurried: Callable[[], bool]) -> None:
        """End all workers: politely first, for good when `is_hurried` says so."""


class LocalPool:
    """Worker processes of this machine, numbered from 1."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = PoolFiles(settings.data_home)
        self._slots: list[Slot] = []
        # Names of workers that were told to leave.
        self._leaving: set[str] = set()

    def supervise(self) -> list[Slot]:
        wanted = self._files.wanted() or 0
        while len(self._slots) < wanted:
            self._slots.append(self._slot(len(self._slots), wanted))
        started = [slot for slot in self._slots[:wanted] if self._ensure(slot)]
        for slot in self._slots[wanted:]:
            self._dismiss(slot)
        while len(self._slots) > wanted and not self._slots[-1].is_alive():
            self._leaving.discard(self._slots.pop().name)
        running = sum(slot.is_alive() for slot in self._slots[:wanted])
        self._files.write_status(PoolStatus("local", wanted, running))
        return started

    def stop(self, *, is_hurried: Callable[[], bool]) -> None:
        stop(self._slots, is_hurried=is_hurried)

    def _ensure(self, slot: Slot) -> bool:
        """Start a worker that is not there; True if it had ended by itself."""
        if slot.is_alive() or (slot.started_at and time.monotonic() - slot.started_at < RESTART_DELAY_S):
            return False
        ended_by_itself = bool(slot.started_at) and slot.name not in self._leaving
        self._leaving.discard(slot.name)
        slot.restart()
        return ended_by_itself

    def _dismiss(self, slot: Slot) -> None:
        """Tell a worker once that it is no longer wanted; a second signal would end it at once."""
        if slot.name not in self._leaving and slot.is_alive():
            self._leaving.add(slot.name)
            slot.signal(signal.SIGTERM)

    def _slot(self, index: int, workers: int) -> Slot:
        name = f"{socket.gethostname()}-{index + 1}"
        log = self._settings.data_home / "logs" / f"{name}.log"
        return worker_slot(self._settings, name, *worker_options(index, workers), log=log)


@dataclass(frozen=True, slots=True)
class RayOptions:
    """What this machine is in its own cluster."""

    # Address that other nodes reach this one at; loopback: none can.
    address: str
    port: int
    # Workers that fit on this machine.
    slots: int
    gpus: int


class RayPool:
    """A cluster's head in a process of its own, which places the workers; they are told by the same files."""

    def __init__(self, settings: Settings, options: RayOptions, server: str) -> None:
        home = str(settings.data_home)
        self._slot = Slot(
            name="ray",
            command=[
                *(sys.executable, "-m", "workers.pools.head", "--home", home, "--server", server),
                *("--address", options.address, "--port", str(options.port)),
                *("--slots", str(options.slots), "--gpus", str(options.gpus)),
            ],
            folder=settings.data_home / "run",
            environment={"NAS_HOME": home},
            log=settings.data_home / "logs" / "ray.log",
        )

    def supervise(self) -> list[Slot]:
        if self._slot.is_alive() or time.monotonic() - self._slot.started_at < RESTART_DELAY_S:
            return []
        is_first = self._slot.process is None
        self._slot.restart()
        return [] if is_first else [self._slot]

    def stop(self, *, is_hurried: Callable[[], bool]) -> None:
        stop([self._slot], grace_s=RAY_GRACE_S, is_hurried=is_hurried)


def default_slots(gpus: int, slots_per_gpu: int) -> int:
    """Return how many workers fit on this machine: so many a GPU, or one a core where there is none."""
    return gpus * slots_per_gpu or len(os.sched_getaffinity(0))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_text(text)
    temporary.replace(path)
