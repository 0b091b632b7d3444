"""What starting the application costs, and what it needs."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

WITHOUT = """
import sys, nas_service.app
loaded = {"torch", "optuna", "sklearn", "onnx", "onnxruntime"} & sys.modules.keys()
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def test_it_loads_neither_torch_nor_optuna_nor_scikit_learn() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_process_answers_and_ends_politely_with_a_stream_open(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "NAS_HOME": str(tmp_path), "NAS_PORT": str(port), "NAS_HOST": "127.0.0.1"}
    environment.pop("NAS_DATABASE_URL", None)
    process = subprocess.Popen([sys.executable, "-m", "nas_service.server"], env=environment)
    try:
        _wait_for(f"http://127.0.0.1:{port}/readyz", process)
        with httpx.stream(
            "GET", f"http://127.0.0.1:{port}/api/v1/events/stream", trust_env=False, timeout=30
        ) as answer:
            lines = answer.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            # The stream ends as a whole answer does, it is not cut.
            for _ in lines:
                pass
        assert process.wait(20) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    pause = threading.Event()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pause.wait(0.02)
    raise AssertionError("the server never answered")
