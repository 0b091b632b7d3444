"""Real processes on one data folder."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from nas_service.settings import Settings

LEASE_S = 3.0


def eventually(condition: Callable[[], object], seconds: float = 120.0) -> object:
    """Return the first truthy answer; fail when none comes in time, which a busy machine may stretch."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen in time")


@dataclass
class Machines:
    """The processes of one test."""

    settings: Settings
    folder: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def worker(self, name: str, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker on the data folder, or with `--server` on a server."""
        return self._start(f"{name}.log", ["-m", "workers", "--name", name, *arguments], environment)

    def server(self, port: int) -> "subprocess.Popen[bytes]":
        """Start a server and wait until it is ready."""
        process = self._start("server.log", ["-m", "nas_service.server"], {"NAS_PORT": str(port)})
        eventually(lambda: _is_ready(port))
        return process

    def search(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a search with a worker of its own."""
        code = "from nas_service.cli.main import main; main()"
        return self._start("search.log", ["-c", code, "search", *arguments, "--workers", "1"], {})

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return (self.folder / f"{name}.log").read_text()

    def _start(self, log: str, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        own = {
            "NAS_HOME": str(self.settings.data_home),
            "NAS_LEASE_S": str(LEASE_S),
            "OMP_NUM_THREADS": "1",
            # The machine is busy with other processes of the test.
            "NAS_TIMING_NOISE_LIMIT": "1000",
        }
        with (self.folder / log).open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, *command],
                env={**inherited, **own, **environment},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.processes.append(process)
        return process


def _is_ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        # Asked often: no certificates are loaded for plain HTTP.
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1.0, verify=False).is_success
    return False
