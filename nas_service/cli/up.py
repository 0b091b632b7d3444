"""`nas up`: the whole service on one machine."""

import ipaddress
import os
import signal
import socket
import time
from contextlib import suppress
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

import httpx
import typer

from nas_service.api.binding import check_binding
from nas_service.cli.local_service import LocalService
from nas_service.cli.output import say, say_next
from nas_service.errors import Conflict, FieldError, InvalidInput, ServiceError
from nas_service.gpus import visible_gpus
from nas_service.pools import (
    MAX_WORKERS,
    RAY_PORT,
    LocalPool,
    Pool,
    PoolFiles,
    RayOptions,
    RayPool,
    default_slots,
)
from nas_service.processes import Slot, restart_ended, server_slot, stop
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training

READY_TIMEOUT_S = 30.0
LOOPBACK = "127.0.0.1"
FIRST_SEARCH = StudySpec(
    name="digits-demo",
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms")),
    constraints={"params": Constraint(max=50_000), "latency_ms": Constraint(max=4.0, at="p90")},
    training=Training(epochs=9, early_stopping="none"),
    budget=Budget(trials=60),
)


class Engine(StrEnum):
    """What keeps the workers running."""

    local = "local"
    ray = "ray"


def up(
    workers: Annotated[
        int | None,
        typer.Option(
            help="Workers; by default one for every GPU, or for every two cores; with Ray one in every slot.",
            min=0,
            max=MAX_WORKERS,
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; any but loopback needs the token.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="A proxy or private network in front keeps tokens secret."),
    ] = False,
    first_search: Annotated[
        bool, typer.Option("--first-search/--no-first-search", help="Search digits if there is no study.")
    ] = True,
    engine: Annotated[
        Engine,
        typer.Option(help="local: workers on this machine; ray: on all machines that join its cluster."),
    ] = Engine.local,
    slots: Annotated[
        int | None,
        typer.Option(
            help="With Ray: workers that fit here; by default one a GPU slot, or one a core.", min=0
        ),
    ] = None,
    slots_per_gpu: Annotated[
        int | None, typer.Option(help="With Ray: workers that share a GPU; 1 by default.", min=1, max=16)
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="With Ray: this machine's IP address for nodes that join; loopback by default."),
    ] = None,
    ray_port: Annotated[
        int | None,
        typer.Option(help=f"With Ray: port that nodes join at; {RAY_PORT} by default.", min=1, max=65535),
    ] = None,
) -> int:
    """Start the server and workers, and a first search on handwritten digits if there is none yet.

    Ctrl-C ends all of it; the next `nas up` goes on where this one stopped.
    """
    options = {"host": host, "port": port, "behind_proxy": behind_proxy or None}
    given = {name: value for name, value in options.items() if value is not None}
    settings = Settings().model_copy(update=given)
    check_binding(settings)
    ray = {
        "slots": slots,
        "slots_per_gpu": slots_per_gpu,
        "ray_address": ray_address,
        "ray_port": ray_port,
    }
    files = PoolFiles(settings.data_home)
    with files.held():
        if engine is Engine.ray:
            pool: Pool = _ray_pool(settings, ray)
        else:
            _refuse_without_ray(ray)
            pool = LocalPool(settings)
            workers = _default_workers() if workers is None else workers
        return _up(settings, pool, workers, first_search=first_search)


def _up(settings: Settings, pool: Pool, workers: int | None, *, first_search: bool) -> int:
    logs = settings.data_home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    server = server_slot(settings, log=logs / "server.log")
    service = LocalService.open(settings)
    try:
        _refuse_taken_port(settings, server)
        if first_search and not service.studies(page_size=1).items:
            service.create_study(FIRST_SEARCH)
    finally:
        service.close()
    PoolFiles(settings.data_home).want(workers)
    return _run(settings, server, pool)


def demo() -> None:
    """Launch the first search again: handwritten digits under 50,000 parameters and 4 ms."""
    service = LocalService.open(Settings())
    try:
        study = service.create_study(FIRST_SEARCH)
    finally:
        service.close()
    say(f"study {study.study} ({study.name}) is queued; workers of `nas up` take it, or: nas worker start")


def _default_workers() -> int:
    return visible_gpus() or max(1, (os.cpu_count() or 1) // 2)


def _ray_pool(settings: Settings, given: dict[str, int | str | None]) -> RayPool:
    if find_spec("ray") is None:
        raise ServiceError('--engine ray needs Ray; run: pip install "ray>=2.60,<3"')
    address = _ray_address(str(given["ray_address"] or LOOPBACK))
    gpus, slots = visible_gpus(), given["slots"]
    fitting = default_slots(gpus, int(given["slots_per_gpu"] or 1)) if slots is None else int(slots)
    options = RayOptions(address, int(given["ray_port"] or RAY_PORT), fitting, gpus)
    return RayPool(settings, options, _address(settings))


def _ray_address(text: str) -> str:
    """Return the address that Ray is to listen on; every loopback address is the one that it keeps to."""
    try:
        address = ipaddress.IPv4Address(text)
        if not address.is_unspecified:
            return LOOPBACK if address.is_loopback else text
    except ValueError:
        pass
    raise InvalidInput(
        FieldError("/ray_address", f"{text!r} names no machine", "the IPv4 address of this machine")
    )


def _refuse_without_ray(given: dict[str, int | str | None]) -> None:
    errors = [
        FieldError(f"/{name}", "goes with --engine ray alone")
        for name, value in given.items()
        if value is not None
    ]
    if errors:
        raise InvalidInput(*errors)


def _run(settings: Settings, server: Slot, pool: Pool) -> int:
    """Keep all processes running until a signal asks to stop."""
    ends: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: ends.append(received))
    server.start()
    try:
        pool.supervise()
        _wait_until_ready(settings, server, ends)
        if not ends:
            _greet(settings)
        while not ends:
            for slot in [*restart_ended([server]), *pool.supervise()]:
                say(f"{slot.name} {slot.ending} and was started again; see {slot.log}")
            time.sleep(0.2)
    finally:
        say("stopping: workers finish their epoch and give their trials back; at once on a second signal")
        # Workers speak to the server to the last.
        pool.stop(is_hurried=lambda: len(ends) > 1)
        stop([server], is_hurried=lambda: len(ends) > 1)
    say("stopped")
    return 0


def _greet(settings: Settings) -> None:
    wanted = PoolFiles(settings.data_home).wanted()
    count = "a worker in every slot" if wanted is None else f"{wanted} worker{'s' * (wanted != 1)}"
    say(f"\n  {_address(settings)}\n")
    say(f"  server and {count} run; data in {settings.data_home}")
    say_next(
        {
            "nas study list": "all studies",
            "nas study watch NUMBER": "follow one here",
            "nas search --dataset FILE.npz ...": "a search of your own",
            "nas worker scale N": "more workers, or fewer",
            "Ctrl-C": "stop everything\n",
        }
    )


def _wait_until_ready(settings: Settings, server: Slot, ends: list[int]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and not ends:
        with suppress(httpx.HTTPError):
            # Only asked whether it answers: the certificate names the host that others know it by.
            if httpx.get(f"{_address(settings)}/readyz", timeout=1.0, verify=False).is_success:
                return
        if not server.is_alive():
            raise ServiceError(f"the server ended at once; see {server.log}")
        time.sleep(0.05)
    if not ends:
        raise ServiceError(f"the server did not answer within {READY_TIMEOUT_S:.0f} s; see {server.log}")


def _refuse_taken_port(settings: Settings, server: Slot) -> None:
    if server.is_alive():
        return
    # An address with colons is one of version 6.
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        raise Conflict(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); try --port"
        ) from error


def _address(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{settings.port}"
