"""`nas up`: the whole service on one machine."""

import os
import signal
import socket
import time
from contextlib import suppress
from typing import Annotated

import httpx
import typer

from nas_service.cli.output import say
from nas_service.errors import Conflict, ServiceError
from nas_service.gpus import visible_gpus, worker_options
from nas_service.processes import Slot, restart_ended, server_slot, stop, worker_slot
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training

READY_TIMEOUT_S = 30.0
FIRST_SEARCH = StudySpec(
    name="digits-demo",
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="latency_ms")),
    constraints={"params": Constraint(max=50_000), "latency_ms": Constraint(max=4.0, at="p90")},
    training=Training(epochs=9, early_stopping="none"),
    budget=Budget(trials=60),
)


def up(
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes; by default one for every GPU, or for every two cores.", min=0),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; any but loopback needs the token.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    first_search: Annotated[
        bool, typer.Option("--first-search/--no-first-search", help="Search digits if there is no study.")
    ] = True,
) -> int:
    """Start the server and workers, and a first search on handwritten digits if there is none yet.

    Ctrl-C ends all of it; the next `nas up` goes on where this one stopped.
    """
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = Settings().model_copy(update=given)
    slots = _slots(settings, workers if workers is not None else _default_workers())
    service = Service.open(settings)
    try:
        _refuse_taken_port(settings, slots[0])
        if first_search and not service.studies(page_size=1).items:
            service.create_study(FIRST_SEARCH)
    finally:
        service.close()
    return _run(settings, slots)


def demo() -> None:
    """Launch the first search again: handwritten digits under 50,000 parameters and 4 ms."""
    service = Service.open(Settings())
    try:
        study = service.create_study(FIRST_SEARCH)
    finally:
        service.close()
    say(f"study {study.study} ({study.name}) is queued; workers of `nas up` take it, or: nas worker start")


def _default_workers() -> int:
    return visible_gpus() or max(1, (os.cpu_count() or 1) // 2)


def _slots(settings: Settings, workers: int) -> list[Slot]:
    logs = settings.data_home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    names = [f"{socket.gethostname()}-{index + 1}" for index in range(workers)]
    return [
        server_slot(settings, log=logs / "server.log"),
        *(
            worker_slot(settings, name, *worker_options(index, workers), log=logs / f"{name}.log")
            for index, name in enumerate(names)
        ),
    ]


def _run(settings: Settings, slots: list[Slot]) -> int:
    """Keep all processes running until a signal asks to stop."""
    ends: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: ends.append(received))
    for slot in slots:
        slot.start()
    try:
        _wait_until_ready(settings, slots[0], ends)
        if not ends:
            _greet(settings, len(slots) - 1)
        while not ends:
            for slot in restart_ended(slots):
                say(f"{slot.name} ended by itself and was started again; see {slot.log}")
            time.sleep(0.2)
    finally:
        say("stopping: workers finish their epoch and give their trials back; at once on a second signal")
        stop(slots, is_hurried=lambda: len(ends) > 1)
    say("stopped")
    return 0


def _greet(settings: Settings, workers: int) -> None:
    address = _address(settings)
    say(f"\n  {address}\n")
    say(f"  server and {workers} worker{'s' * (workers != 1)} run; data in {settings.data_home}")
    say("  nas study list                     all studies")
    say("  nas search --dataset FILE.npz ...  a search of your own")
    say("  Ctrl-C                             stop everything\n")


def _wait_until_ready(settings: Settings, server: Slot, ends: list[int]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and not ends:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{_address(settings)}/readyz", timeout=1.0).is_success:
                return
        if not server.is_alive():
            raise ServiceError(f"the server ended at once; see {server.log}")
        time.sleep(0.05)
    if not ends:
        raise ServiceError(f"the server did not answer within {READY_TIMEOUT_S:.0f} s; see {server.log}")


def _refuse_taken_port(settings: Settings, server: Slot) -> None:
    if server.is_alive():
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Conflict(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); try --port"
            ) from error


def _address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{host}:{settings.port}"
