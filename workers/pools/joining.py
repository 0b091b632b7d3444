"""`nas-worker --join HEAD`: this machine as a node of a cluster, until told to end."""

import argparse
import logging
import os
import socket
import subprocess
import threading
from pathlib import Path

from nas_service.errors import ServiceError, Unavailable
from nas_service.gpus import visible_gpus
from nas_service.pools import RAY_PORT, default_slots
from nas_service.processes import stop
from nas_service.settings import Settings
from workers.pools.head import end_on_signals, end_process
from workers.pools.node import OPEN_PORTS, Node, node_environment, ray_folder, start_command
from workers.pools.versions import own_versions, refuse_other

log = logging.getLogger("nas.ray")
# A head that is away is asked again after so long.
RETRY_S = 5.0
ANSWER_S = 5.0


def join(options: argparse.Namespace, settings: Settings) -> None:
    """Keep this machine in the cluster until SIGTERM or SIGINT, then drain its workers and leave.

    Raises:
        ServiceError: Ray is missing, the token is missing or wrong, or the head has other versions.
    """
    versions = own_versions()
    host, port = head_address(options.join)
    node = _node(options, settings)
    environment = node_environment(node, _ray_token(options, settings), os.environ)
    os.environ.clear()
    os.environ.update(environment)
    ends = threading.Event()
    end_on_signals(ends)
    node.leaving_path.unlink(missing_ok=True)
    while not ends.is_set():
        try:
            _refuse_silence(host, port)
            from workers.pools.ray import read_versions

            refuse_other(read_versions(f"{host}:{port}"), versions)
            with ray_folder(node) as folder:
                _serve(node, f"{host}:{port}", folder, ends)
        except Unavailable as error:
            log.warning("%s; trying again", error)
        ends.wait(RETRY_S)


def head_address(text: str) -> tuple[str, int]:
    """Return host and port of "HOST[:PORT]"; raises `ServiceError` when it is neither."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", str(RAY_PORT))
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ServiceError(f"--join {text!r} must be HOST or HOST:PORT")
    return host, int(port)


def _node(options: argparse.Namespace, settings: Settings) -> Node:
    gpus = visible_gpus()
    return Node(
        name=options.name,
        slots=options.slots or default_slots(gpus, options.slots_per_gpu or 1),
        gpus=gpus,
        server=options.server,
        token_file=str(options.token_file.absolute()) if options.token_file else None,
        home=str(settings.data_home),
    )


def _ray_token(options: argparse.Namespace, settings: Settings) -> Path:
    path: Path = (options.ray_token_file or settings.data_home / "ray-token").absolute()
    try:
        if path.read_text(encoding="utf-8").strip():
            return path
    except OSError:
        pass
    raise ServiceError(
        f"no Ray token: {path} cannot be read or is empty; copy the head's NAS_HOME/ray-token, or name it by "
        "--ray-token-file"
    )


def _refuse_silence(host: str, port: int) -> None:
    """Raise `Unavailable` unless something listens: Ray itself would take a minute to say so."""
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        raise Unavailable(f"the head at {host}:{port} does not answer ({error})") from error


def _serve(node: Node, address: str, folder: str, ends: threading.Event) -> None:
    """Be a node until told to end, or until Ray ends, as it does when the head is gone."""
    log.info("joining %s as %s with %d slots", address, node.name, node.slots)
    place = ("--address", address, "--temp-dir", folder, *OPEN_PORTS)
    process = subprocess.Popen(start_command(node, *place), start_new_session=True)
    try:
        while not ends.wait(0.2):
            if process.poll() is not None:
                raise Unavailable(
                    f"Ray ended (exit code {process.returncode}): the head at {address} is gone"
                )
    finally:
        _leave(node, process)


def _leave(node: Node, process: "subprocess.Popen[bytes]") -> None:
    node.leaving_path.parent.mkdir(parents=True, exist_ok=True)
    node.leaving_path.touch()
    try:
        log.info("leaving: workers finish their epoch and give their trials back")
        stop(node.worker_slots())
        end_process(process)
    finally:
        node.leaving_path.unlink(missing_ok=True)
