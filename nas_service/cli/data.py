"""`nas data`: register, list and delete data sets."""

from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.output import Format, say, show
from nas_service.errors import NotFound

app = typer.Typer(help="Data sets.", no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("name", "input_shape", "classes", "train_examples", "test_examples")


@app.command("add")
def add(
    path: Annotated[Path, typer.Argument(help=".npz, IDX files (.gz), an image folder, or a zip of one.")],
    name: Annotated[str | None, typer.Option(help="Defaults to the file's name.")] = None,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Check a data set and register it under a name."""
    if not path.exists():
        raise NotFound(f"no file or folder at {path}")
    with connected(server) as backend:
        dataset = backend.add_dataset(path, name)
    show(dataset, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("list")
def list_datasets(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List the registered data sets."""
    with connected(server) as backend:
        datasets = backend.datasets()
    show(datasets, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("delete")
def delete_dataset(
    name: Annotated[str, typer.Argument(help="As 'nas data list' names it.")], server: options.Server = None
) -> None:
    """Delete a data set that no study uses."""
    with connected(server) as backend:
        backend.delete_dataset(name)
    say(f"data set {name} deleted")
