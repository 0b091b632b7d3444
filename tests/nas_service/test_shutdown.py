"""How real processes end when they are told to."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

NAS = [sys.executable, "-c", "from nas_service.cli.main import main; main()"]
SERVER = [sys.executable, "-m", "nas_service.server"]


@dataclass
class Running:
    """A process of ours that serves on `port`."""

    process: "subprocess.Popen[str]"
    port: int

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=30)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, "it ended by itself"
        with contextlib.suppress(httpx.TransportError):
            return self.get("/readyz").is_success
        return False

    def tell_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a process that serves on a free port, and waits until it is ready."""
    started: list[Running] = []

    def run(command: list[str], **settings: str) -> Running:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        port = _free_port()
        environment = {**inherited, "NAS_HOME": str(tmp_path), "NAS_PORT": str(port), **settings}
        with (tmp_path / "said").open("ab") as said:
            process = subprocess.Popen(command, env=environment, text=True, stdout=said, stderr=said)
        running = Running(process, port)
        started.append(running)
        eventually(running.is_ready)
        return running

    yield run
    for running in started:
        running.process.kill()
        running.process.wait()


def test_a_server_finishes_requests_and_streams_waits_for_none_for_ever_and_leaves_with_success(
    start: Start, tmp_path: Path
) -> None:
    server = start(SERVER)
    address = f"http://127.0.0.1:{server.port}/api/v1/events/stream"
    with (
        _half_sent_request(server.port) as request,
        _half_sent_request(server.port),
        httpx.stream("GET", address, trust_env=False, timeout=30) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        server.tell_to_end()
        # The stream ends as a whole answer does, it is not cut.
        for _ in lines:
            pass
        request.sendall(b"}")
        assert request.recv(1000).startswith(b"HTTP/1.1 422")
        assert server.process.wait(60) == 0
    assert "nas.server: ended" in (tmp_path / "said").read_text()


def test_a_server_that_is_to_end_is_not_ready_at_once_and_ends_at_once_when_told_again(start: Start) -> None:
    server = start(SERVER, NAS_SHUTDOWN_DELAY_S="60")
    server.tell_to_end()
    eventually(lambda: not server.is_ready())
    answer = server.get("/readyz")
    assert answer.status_code == 503
    assert "ending" in answer.json()["detail"]
    assert server.get("/healthz").status_code == 200
    server.tell_to_end()
    assert server.process.wait(60) == 128 + signal.SIGTERM


def test_up_ends_with_all_that_it_started(start: Start, tmp_path: Path) -> None:
    up = start([*NAS, "up", "--workers", "1", "--no-first-search"])
    children = _children(tmp_path)
    assert len(children) == 2
    up.tell_to_end()
    assert up.process.wait(120) == 0
    assert not any(_lives(pid) for pid in children)
    assert "nas.server: ended" in (tmp_path / "logs" / "server.log").read_text()


def test_up_told_twice_waits_for_nobody(start: Start, tmp_path: Path) -> None:
    up = start([*NAS, "up", "--workers", "0", "--no-first-search"], NAS_SHUTDOWN_DELAY_S="60")
    (server,) = _children(tmp_path)
    up.tell_to_end()
    eventually(lambda: not up.is_ready())
    up.tell_to_end()
    assert up.process.wait(120) == 0
    eventually(lambda: not _lives(server))
    assert "nas.server: ended" not in (tmp_path / "logs" / "server.log").read_text()


@contextlib.contextmanager
def _half_sent_request(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = "POST /api/v1/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 2\r\n\r\n{{".encode())
        # Another request is answered behind it: the server has read the first one's head.
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=30)
        yield connection


def _children(home: Path) -> list[int]:
    locks = [lock for lock in (home / "run").glob("*.lock") if lock.name != "up.lock"]
    return [int(lock.read_text()) for lock in locks]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition holds, which a busy machine may delay."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.05)
