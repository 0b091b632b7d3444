"""Real processes on one data folder, forked by a nursery that has imported what they need."""

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
from nursery import Child, Nursery

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

    nursery: Nursery
    settings: Settings
    folder: Path
    children: list[Child] = field(default_factory=list)
    searches: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def worker(self, name: str, *arguments: str, **environment: str) -> Child:
        """Start a worker on the data folder, or with `--server` on a server."""
        return self._fork("workers.cli:main", f"{name}.log", ["--name", name, *arguments], environment)

    def held_worker(self, name: str, **environment: str) -> Child:
        """Start a worker on the data folder that never gets behind its first epoch."""
        return self._fork("held_worker:main", f"{name}.log", ["--name", name], environment)

    def server(self, port: int) -> Child:
        """Start a server and wait until it is ready."""
        child = self._fork("nas_service.server:main", "server.log", [], {"NAS_PORT": str(port)})
        eventually(lambda: _is_ready(port))
        return child

    def search(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a search with a worker of its own, each with an interpreter of its own."""
        code = "from nas_service.cli.main import main; main()"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        with (self.folder / "search.log").open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", code, "search", *arguments, "--workers", "1"],
                env={**inherited, **self._environment(), "OMP_NUM_THREADS": "1"},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.searches.append(process)
        return process

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """End all that still run."""
        for child in self.children:
            child.kill()
        for search in self.searches:
            search.kill()
            search.wait()

    def _fork(self, target: str, log: str, arguments: list[str], environment: dict[str, str]) -> Child:
        own = {**self._environment(), **environment}
        child = self.nursery.fork(target, arguments, self.folder / log, **own)
        self.children.append(child)
        return child

    def _environment(self) -> dict[str, str]:
        return {
            "NAS_HOME": str(self.settings.data_home),
            "NAS_LEASE_S": str(LEASE_S),
            # The machine is busy with other processes of the test.
            "NAS_TIMING_NOISE_LIMIT": "1000",
        }


def _is_ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        # Asked often: no certificates are loaded for plain HTTP.
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1.0, verify=False).is_success
    return False
