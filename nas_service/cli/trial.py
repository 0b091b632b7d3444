"""`nas trial`: look at one candidate, or add one of your own."""

from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.described import read_description
from nas_service.cli.output import Format, as_plain, pick, print_table, show

app = typer.Typer(help="Single candidates.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show_trial(
    study: Annotated[str, typer.Argument(help="Number or name of the study.")],
    number: Annotated[int, typer.Argument(help="Number of the trial within it.")],
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Show everything known of a trial: figures, architecture, timings, error."""
    with connected(server) as backend:
        trial = backend.trial_by_number(backend.find_study(study).study, number)
    form = options.chosen_format(output, as_json)
    if form is not Format.table:
        show(trial, form=form, columns=("number", "state"))
        return
    plain = as_plain(trial)
    names = ("number", "state", "reason", "space_version", "excluded", "worker", "attempt", "error")
    figures = [f"{group}.{name}" for group in ("metrics", "timings") for name in plain[group]]
    rows = [
        {"figure": _named(name.rpartition(".")[2], trial.predicted), "value": pick(plain, name)}
        for name in (*names, *figures)
        if pick(plain, name) is not None
    ]
    print_table(rows, ("figure", "value"))
    show(plain["architecture"], form=Format.yaml)


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
        trial = backend.enqueue(backend.find_study(study).study, description)
    show(trial, form=options.chosen_format(output, as_json), columns=("number", "state", "architecture_hash"))
