"""`python -m workers.pools.head`: a cluster's head, and the reconciler that keeps its workers as wanted.

Started by `nas up --engine ray`. All of it ends with this process; nodes that had joined come back when a new
head listens at the same address.
"""

import argparse
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from nas_service.errors import ServiceError
from nas_service.pools import PoolFiles, PoolStatus
from nas_service.processes import stop
from workers.pools.node import (
    OPEN_PORTS,
    Node,
    ensure_ray_token,
    node_environment,
    ray_folder,
    ray_version,
    start_command,
)

log = logging.getLogger("nas.ray")
RECONCILE_S = 1.0
# Ray needs four seconds on a quiet machine.
READY_S = 180.0
DRAIN_S = 8.0
END_S = 8.0
LOOPBACK = "127.0.0.1"


def main() -> int:
    """Run the head until a signal asks to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = _parser().parse_args()
    ends = threading.Event()
    end_on_signals(ends)
    try:
        ray_version()
        _run(options, ends)
    except ServiceError as error:
        log.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workers.pools.head", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="data folder of the service")
    parser.add_argument("--server", required=True, help="address of the server for workers on this machine")
    parser.add_argument("--name", default=socket.gethostname(), help="name of this machine's node")
    parser.add_argument("--address", default=LOOPBACK, help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--slots", type=int, required=True, help="workers that fit on this machine")
    parser.add_argument("--gpus", type=int, required=True, help="GPUs of this machine")
    return parser


def _run(options: argparse.Namespace, ends: threading.Event) -> None:
    node = Node(
        name=options.name,
        slots=options.slots,
        gpus=options.gpus,
        server=options.server,
        token_file=str(options.home / "token"),
        home=str(options.home),
    )
    ensure_ray_token(options.home / "ray-token")
    on_loopback = options.address == LOOPBACK
    # The driver in this process, too, reads all of this when Ray is imported.
    environment = node_environment(node, options.home / "ray-token", os.environ, on_loopback=on_loopback)
    os.environ.clear()
    os.environ.update(environment)
    node.leaving_path.unlink(missing_ok=True)
    with ray_folder(node) as folder:
        _head(node, options, folder, ends)


def _head(node: Node, options: argparse.Namespace, folder: str, ends: threading.Event) -> None:
    head = _start(node, options, folder)
    try:
        _wait_until_ready(options, head, ends)
        if not ends.is_set():
            _supervise(f"{options.address}:{options.port}", PoolFiles(options.home), head, ends)
    finally:
        end_process(head)
        # Whatever workers are left on this machine.
        stop(node.worker_slots(), grace_s=1.0)


def _start(node: Node, options: argparse.Namespace, folder: str) -> "subprocess.Popen[bytes]":
    place = ["--head", "--port", str(options.port), "--temp-dir", folder, "--include-dashboard", "false"]
    if options.address != LOOPBACK:
        place += ["--node-ip-address", options.address, *OPEN_PORTS]
    # Without the autoscaler's monitor, which would listen on all addresses.
    return subprocess.Popen(start_command(node, *place, "--no-monitor"), start_new_session=True)


def _wait_until_ready(
    options: argparse.Namespace, head: "subprocess.Popen[bytes]", ends: threading.Event
) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and not ends.is_set():
        if head.poll() is not None:
            raise ServiceError(f"Ray's head ended at once (exit code {head.returncode}); see above")
        with suppress(OSError), socket.create_connection((options.address, options.port), timeout=1.0):
            return
        ends.wait(0.2)
    if not ends.is_set():
        raise ServiceError(f"Ray's head did not listen on port {options.port} within {READY_S:.0f} s")


def _supervise(
    address: str, files: PoolFiles, head: "subprocess.Popen[bytes]", ends: threading.Event
) -> None:
    from workers.pools.ray import RayPool

    pool = RayPool(address)
    # Ray has put handlers of its own in their place, which end the process at once.
    end_on_signals(ends)
    log.info("the head listens at %s", address)
    try:
        while not ends.is_set():
            if head.poll() is not None:
                raise ServiceError(f"Ray's head ended (exit code {head.returncode})")
            wanted = files.wanted()
            pool.reconcile(wanted)
            nodes = tuple(sorted(member.name for member in pool.members()))
            files.write_status(PoolStatus("ray", wanted, len(pool.workers), nodes))
            ends.wait(RECONCILE_S)
        log.info("stopping: workers finish their epoch and give their trials back")
        pool.drain_all(DRAIN_S)
    finally:
        pool.close()


def end_on_signals(ends: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `ends`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ends.set())


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """End a process of ours: politely, for good after some seconds."""
    process.terminate()
    try:
        process.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
