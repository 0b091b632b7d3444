"""`nas worker`: start and list workers."""

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected, server_address
from nas_service.cli.output import Format, as_plain, print_table, show
from nas_service.errors import Conflict
from nas_service.pools import MAX_WORKERS, PoolFiles, PoolStatus
from nas_service.settings import Settings

app = typer.Typer(help="Workers.", no_args_is_help=True, rich_markup_mode=None)
# For so long it is waited for that `nas up` has taken a new number of workers up.
ANSWER_S = 10.0


@app.command("start")
def start(
    name: Annotated[str | None, typer.Option(help="Name of the worker; host and process by default.")] = None,
    study: Annotated[int | None, typer.Option(help="Work on this study only.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the worker token; NAS_TOKEN otherwise.")
    ] = None,
    measure_only: Annotated[
        bool, typer.Option("--measure-only", help="Only measure latency, as the device that --device names.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Name of this device in specs, for instance pi4.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Where to train: auto, auto:N, cpu, cuda or cuda:N; auto by default.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="Candidates to train at once; by the GPU's size by default.", min=1)
    ] = None,
    memory_limit_gb: Annotated[
        float | None, typer.Option(help="Memory the worker may use, in 10^9 bytes; not with a GPU.", min=1.0)
    ] = None,
    server: options.Server = None,
) -> None:
    """Run a worker in the foreground until Ctrl-C; `nas-worker --help` has further options."""
    address = server_address(server)
    command = [sys.executable, "-m", "workers"]
    command += ["--server", address] if address else []
    command += ["--name", name] if name else []
    command += ["--study", str(study)] if study is not None else []
    command += ["--token-file", str(token_file)] if token_file else []
    command += ["--accelerator", accelerator] if accelerator else []
    command += ["--at-once", str(at_once)] if at_once is not None else []
    command += ["--memory-limit-gb", str(memory_limit_gb)] if memory_limit_gb is not None else []
    command += ["--measure-only"] if measure_only else []
    command += ["--device", device] if device else []
    sys.stdout.flush()
    # The service never imports the workers' package: it becomes that process.
    os.execv(sys.executable, command)


@app.command("doctor")
def doctor(
    token_file: Annotated[
        Path | None, typer.Option(help="File with the worker token; NAS_TOKEN otherwise.")
    ] = None,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Check torch, GPUs, memory and noise here, the spool, and whether the server takes this worker."""
    address = server_address(server)
    command = [sys.executable, "-m", "workers.doctor"]
    command += ["--output", options.chosen_format(output, as_json).value]
    command += ["--server", address] if address else []
    command += ["--token-file", str(token_file)] if token_file else []
    sys.stdout.flush()
    os.execv(sys.executable, command)


@app.command("list")
def list_workers(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List the workers and whether they are alive."""
    with connected(server) as backend:
        workers = backend.workers()
    form = options.chosen_format(output, as_json)
    columns = ["id", "name", "host", "device", "state", "trial", "heartbeat_at"]
    if any("slot" in worker.versions for worker in workers):
        columns[2:2] = ["versions.node", "versions.slot"]
    if form is Format.table:
        rows = [{**as_plain(worker), "note": worker.note} for worker in workers]
        print_table(rows, (*columns, "note"))
    else:
        show(workers, form=form, columns=(*columns, "noise"))


@app.command("scale")
def scale(
    workers: Annotated[
        int, typer.Argument(help="How many workers are wanted.", min=0, max=MAX_WORKERS, metavar="N")
    ],
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Change the number of workers of the `nas up` that runs on this data folder.

    Surplus workers finish their epoch and give their trials back.
    """
    files = PoolFiles(Settings().data_home)
    if not files.is_held():
        raise Conflict(
            f"no `nas up` runs on {Settings().data_home}; start one by: nas up --workers {workers}"
        )
    files.want(workers)
    status = _taken_up(files, workers)
    columns = ("engine", "wanted", "running", "nodes")
    show(
        [{**asdict(status), "nodes": list(status.nodes)}],
        form=options.chosen_format(output, as_json),
        columns=columns,
    )


def _taken_up(files: PoolFiles, wanted: int) -> PoolStatus:
    """Return what `nas up` runs as soon as it knows what is wanted."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        status = files.status()
        if status is not None and status.wanted == wanted:
            return status
        time.sleep(0.05)
    raise Conflict(
        f"{wanted} workers are wanted now, but `nas up` has not taken that up yet; it may be starting"
    )
