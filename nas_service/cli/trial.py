"""`nas trial`: look at one candidate, or add one of your own."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected, server_address
from nas_service.cli.confirming import retrain
from nas_service.cli.described import read_description
from nas_service.cli.exporting import export_by_worker
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, as_plain, pick, print_table, show
from nas_service.errors import DamagedFile, NotFound
from nas_service.evaluation import EvaluationSummary, summarised
from nas_service.exports import MAX_QAT_EPOCHS, ExportRequest
from nas_service.spec_file import read_model

app = typer.Typer(help="Single candidates.", no_args_is_help=True, rich_markup_mode=None)
app.command("retrain")(retrain)


class ExportFormat(StrEnum):
    """What a network can be exported as."""

    torch = "torch"
    code = "code"
    onnx = "onnx"
    onnx_int8 = "onnx-int8"
    card = "card"
    all = "all"


class Target(StrEnum):
    """Where an exported network will run."""

    cpu_onnx = "cpu-onnx"
    cpu_torch = "cpu-torch"
    cuda = "cuda"


@app.command("show")
def show_trial(
    study: Annotated[str, typer.Argument(help="Number or name of the study.")],
    number: Annotated[int, typer.Argument(help="Number of the trial within it.")],
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Show everything known of a trial: figures, evaluation, architecture, timings, error."""
    with connected(server) as backend:
        trial = backend.trial_by_number(named_study(backend, study).study, number)
        summary = None
        # A file that is gone or damaged is no reason to show nothing.
        with suppress(NotFound, DamagedFile):
            found = backend.evaluation(trial.id)
            summary = summarised(found, found.class_names)
    form = options.chosen_format(output, as_json)
    plain = as_plain(trial) | {"evaluation": as_plain(summary)}
    if form is not Format.table:
        show(plain, form=form, columns=("number", "state"))
        return
    names = ("number", "state", "reason", "space_version", "excluded", "worker", "attempt", "error")
    figures = [f"{group}.{name}" for group in ("metrics", "timings") for name in plain[group]]
    rows = [
        {"figure": _named(name.rpartition(".")[2], trial.predicted), "value": pick(plain, name)}
        for name in (*names, *figures)
        if pick(plain, name) is not None
    ]
    rows += [{"figure": name, "value": value} for name, value in _told(summary)]
    print_table(rows, ("figure", "value"))
    show(plain["architecture"], form=Format.yaml)


def _told(summary: EvaluationSummary | None) -> Iterator[tuple[str, str]]:
    """Yield an evaluation's figures for people."""
    if summary is None:
        return
    yield "mistakes", f"{summary.mistakes} of {summary.examples} validation examples"
    yield "weakest class", f"{summary.weakest.name} ({summary.weakest.recall:.1%} recognised)"
    if summary.most_confused:
        pair = summary.most_confused
        yield "most confused", f"{pair.true} taken for {pair.predicted} ({pair.count} times)"


def _named(figure: str, predicted: list[str]) -> str:
    return f"{figure} (predicted)" if figure in predicted else figure


@app.command("enqueue")
def enqueue(
    study: Annotated[str, typer.Argument(help="Number or name of the study.")],
    architecture: Annotated[Path, typer.Argument(help="YAML or JSON file; - is standard input.")],
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Have an architecture of your own trained within a study; it counts towards the budget."""
    description = read_description(architecture)
    with connected(server) as backend:
        trial = backend.enqueue(named_study(backend, study).study, description)
    show(trial, form=options.chosen_format(output, as_json), columns=("number", "state", "architecture_hash"))


@app.command("export")
def export(
    study: Annotated[str, typer.Argument(help="Number or name of the study.")],
    number: Annotated[int, typer.Argument(help="Number of the trial within it.")],
    directory: Annotated[Path, typer.Option("-o", "--directory", help="Folder to write; made if missing.")],
    form: Annotated[
        list[ExportFormat] | None,
        typer.Option("--format", help="What to write; may be repeated, everything by default."),
    ] = None,
    target: Annotated[
        Target,
        typer.Option(help="Where it will run: the fastest form there within the study's limits on size."),
    ] = Target.cpu_onnx,
    with_preprocessing: Annotated[
        bool, typer.Option("--with-preprocessing", help="Let ONNX files take examples as in the data set.")
    ] = False,
    qat_epochs: Annotated[
        int,
        typer.Option(
            help="Epochs of fine-tuning before the 8-bit file is written.", min=0, max=MAX_QAT_EPOCHS
        ),
    ] = 0,
    job: Annotated[
        int | None,
        typer.Option(help="Number of a retraining or confirming run whose weights are meant.", min=1),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    server: options.Server = None,
    as_json: options.Json = False,
) -> None:
    """Write a trained network to run elsewhere: PyTorch, plain code, ONNX, 8 bits, a model card.

    Each form is run on the whole test part first; one that answers otherwise than the trained network fails
    the export. A worker does it where a server is asked, this machine where its data folder holds the study.

    Limits such as model_bytes count weights by their number type (four bytes each), not the file around them;
    a file that is larger than its limit is written with a warning.
    """
    wanted = {
        "formats": [each.value for each in form or [ExportFormat.all]],
        "target": target.value,
        "with_preprocessing": with_preprocessing,
        "qat_epochs": qat_epochs,
        "job": job,
    }
    request = read_model(wanted, ExportRequest)
    output = Format.json if as_json else Format.table
    if server_address(server):
        with connected(server) as backend:
            export_by_worker(backend, (study, number), directory, request, replaces=force, output=output)
        return
    command = [sys.executable, "-m", "workers.export", "--directory", str(directory)]
    command += ["--request", request.model_dump_json(), "--output", output.value]
    command += ["--force"] if force else []
    command += ["--", study, str(number)]
    sys.stdout.flush()
    # The service never imports the workers' package: it becomes that process.
    os.execv(sys.executable, command)
