"""A Ray cluster of real processes: `nas up --engine ray`, and machines that join it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from machines import eventually

from nas_service.pools import PoolFiles, PoolStatus

ROOT = Path(__file__).resolve().parents[2]
CLI = "from nas_service.cli.main import main; main()"
# A busy machine starts Ray in half a minute.
PATIENCE_S = 240.0


@dataclass
class Cluster:
    """The processes of one cluster, each started in a network namespace or in none."""

    home: Path
    folder: Path
    lease_s: float
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def files(self) -> PoolFiles:
        """How many workers are wanted, and run."""
        return PoolFiles(self.home)

    def up(self, *arguments: str, namespace: str | None = None) -> "subprocess.Popen[bytes]":
        """Start server and head."""
        command = ["-c", CLI, "up", "--engine", "ray", "--no-first-search", *arguments]
        return self.start("up", command, home=self.home, namespace=namespace)

    def join(
        self, name: str, head: str, *arguments: str, namespace: str | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start `nas-worker --join` with a data folder of its own."""
        command = ["-m", "workers", "--join", head, "--name", name, "--slots", "1", *arguments]
        return self.start(name, command, home=self.folder / name, namespace=namespace)

    def start(
        self, log: str, command: list[str], *, home: Path, namespace: str | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a process of Python whose data folder is `home`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        own = {
            "NAS_HOME": str(home),
            "NAS_LEASE_S": str(self.lease_s),
            "NAS_TIMING_NOISE_LIMIT": "1000",
            "PYTHONPATH": str(ROOT),
        }
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        with (self.folder / f"{log}.log").open("ab") as stream:
            process = subprocess.Popen(
                [*prefix, sys.executable, *command],
                env={**inherited, **own},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return (self.folder / f"{name}.log").read_text()

    def until(self, running: int, *nodes: str) -> PoolStatus:
        """Wait until so many workers are placed, on these nodes."""

        def found() -> PoolStatus | None:
            status = self.files.status()
            return status if status and status.running == running and status.nodes == nodes else None

        status = eventually(found, PATIENCE_S)
        assert isinstance(status, PoolStatus)
        return status

    def end(self) -> None:
        """End all processes, those that join first."""
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()
            process.wait()
        # A node that was killed leaves Ray's folder to its next start, which never comes.
        for note in self.folder.glob("*/run/ray-*.folder"):
            shutil.rmtree(note.read_text(), ignore_errors=True)


@dataclass(frozen=True)
class Link:
    """Two network namespaces, joined by a cable that can be pulled."""

    head: str
    node: str
    head_address: str
    node_address: str

    @classmethod
    def made(cls, number: int) -> "Link":
        """Make two namespaces with addresses of documentation; raises `OSError` where that is forbidden."""
        link = cls(f"nas-head-{number}", f"nas-node-{number}", "198.51.100.1", "198.51.100.2")
        try:
            for namespace in (link.head, link.node):
                ip("netns", "add", namespace)
                ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", link.head, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", link.node)
            for namespace, address in ((link.head, link.head_address), (link.node, link.node_address)):
                ip("-n", namespace, "address", "add", f"{address}/24", "dev", "cable")
                ip("-n", namespace, "link", "set", "cable", "up")
        except OSError:
            link.remove()
            raise
        return link

    def cut(self) -> None:
        """Pull the cable out."""
        ip("-n", self.head, "link", "set", "cable", "down")

    def heal(self) -> None:
        """Put the cable back."""
        ip("-n", self.head, "link", "set", "cable", "up")

    def kill(self, namespace: str) -> int:
        """Kill all processes of a namespace at once, as a machine that loses its power; return how many."""
        killed = 0
        while found := ip("netns", "pids", namespace).split():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            killed = max(killed, len(found))
            time.sleep(0.05)
        return killed

    def remove(self) -> None:
        """Remove both namespaces and what is left in them."""
        for namespace in (self.head, self.node):
            with contextlib.suppress(OSError):
                self.kill(namespace)
                ip("netns", "delete", namespace)


def ip(*arguments: str) -> str:
    """Return what the command `ip` prints; raises `OSError` where it fails."""
    answer = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {answer.stderr.strip()}")
    return answer.stdout
