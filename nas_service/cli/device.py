"""`nas device`: where latency was measured, and how fast a network is on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.output import Format, show

app = typer.Typer(help="Where latency counts.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = ("name", "runtimes", "measurements", "waiting", "workers_alive", "noise")


@app.command("list")
def list_devices(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List the devices: runtimes, stored measurements, waiting requests, and workers alive."""
    with connected(server) as backend:
        devices = backend.devices()
    show(devices, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("bench")
def bench(
    description: Annotated[
        Path | None, typer.Argument(help="YAML or JSON file of an architecture; - is standard input.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="A typical network of this family instead.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cpu-torch or cuda.")] = "cpu",
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Measure a network's latency on this machine, as workers do; nothing is stored."""
    command = [sys.executable, "-m", "workers.bench", "--device", device]
    command += ["--output", options.chosen_format(output, as_json).value]
    command += ["--family", family] if family else []
    command += ["--", str(description)] if description else []
    sys.stdout.flush()
    # The service never imports the workers' package: it becomes that process.
    os.execv(sys.executable, command)
