"""Server and worker processes of one machine, each in a numbered slot of the data folder.

A slot is a lock file under `$NAS_HOME/run`. The child inherits the lock and holds it for as long as it lives:
a supervisor that was killed and starts again finds its children by their locks and adopts them instead of
starting second ones.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nas_service.settings import Settings

# How long a process may take to finish its requests or its epoch and leave before it is killed.
GRACE_S = 9.0
# A process that ends by itself is started again, but not in a tight loop.
RESTART_DELAY_S = 1.0


@dataclass(slots=True)
class Slot:
    """One process that should be running."""

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    # How the process before this one ended, as `Popen.returncode`; None where that is not known.
    last_code: int | None = None

    @property
    def lock_path(self) -> Path:
        """The file whose lock says that the slot's process lives; it holds the process id."""
        return self.folder / f"{self.name}.lock"

    def is_alive(self) -> bool:
        """Whether the slot's process lives, be it ours or one that an earlier supervisor left."""
        if self.process is not None:
            return self.process.poll() is None
        return _lock_is_held(self.lock_path)

    def pid(self) -> int | None:
        """The living process's id."""
        if self.process is not None:
            return self.process.pid if self.process.poll() is None else None
        if not _lock_is_held(self.lock_path):
            return None
        text = self.lock_path.read_text().strip()
        return int(text) if text.isdigit() else None

    def start(self) -> None:
        """Start the process, unless one already holds the slot."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        try:
            self.process = self._spawn(lock)
            self.started_at = time.monotonic()
            os.truncate(lock, 0)
            os.pwrite(lock, str(self.process.pid).encode(), 0)
        finally:
            os.close(lock)

    def restart(self) -> None:
        """Start the process again after it has ended, and remember how it ended."""
        self.last_code = None if self.process is None else self.process.poll()
        self.process = None
        self.start()

    @property
    def ending(self) -> str:
        """How the process before this one ended, in words."""
        if self.last_code is None:
            return "ended by itself"
        if self.last_code < 0:
            return f"was killed by signal {-self.last_code} ({signal.Signals(-self.last_code).name})"
        return f"ended by itself with exit code {self.last_code}"

    def _spawn(self, lock: int) -> "subprocess.Popen[bytes]":
        stream = self.log.open("ab") if self.log else None
        try:
            # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the others in order.
            return subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=(lock,),
                start_new_session=True,
            )
        finally:
            if stream:
                stream.close()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it lives."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _lock_is_held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def living_slots(settings: Settings) -> list[str]:
    """Return the names of the server and workers that run in the data folder's slots."""
    locks = sorted((settings.data_home / "run").glob("*.lock"))
    return [path.stem for path in locks if _lock_is_held(path)]


def restart_ended(slots: Iterable[Slot]) -> list[Slot]:
    """Start what is not running, a little after its last start, and return what was started."""
    ended = [
        slot for slot in slots if not slot.is_alive() and time.monotonic() - slot.started_at > RESTART_DELAY_S
    ]
    for slot in ended:
        slot.restart()
    return ended


def stop(
    slots: Iterable[Slot], *, grace_s: float = GRACE_S, is_hurried: Callable[[], bool] = lambda: False
) -> None:
    """End all processes: politely first, for good after `grace_s` seconds or when `is_hurried` says so."""
    living = [slot for slot in slots if slot.is_alive()]
    for slot in living:
        slot.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(slot.is_alive() for slot in living) and time.monotonic() < deadline and not is_hurried():
        time.sleep(0.05)
    for slot in living:
        slot.signal(signal.SIGKILL)


def worker_slot(settings: Settings, name: str, *arguments: str, log: Path | None = None) -> Slot:
    """Describe a worker process on this machine's data folder, with one thread of its own."""
    return Slot(
        name=name,
        command=[sys.executable, "-m", "workers", "--name", name, *arguments],
        folder=settings.data_home / "run",
        environment={"NAS_HOME": str(settings.data_home), "OMP_NUM_THREADS": "1"},
        log=log,
    )


def server_slot(settings: Settings, *, log: Path | None = None) -> Slot:
    """Describe the server process."""
    return Slot(
        name="server",
        command=[sys.executable, "-m", "nas_service.server"],
        folder=settings.data_home / "run",
        environment={
            "NAS_HOME": str(settings.data_home),
            "NAS_HOST": settings.host,
            "NAS_PORT": str(settings.port),
            "NAS_BEHIND_PROXY": str(int(settings.behind_proxy)),
        },
        log=log,
    )
