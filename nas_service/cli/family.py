"""`nas family`: the search spaces that ship."""

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.output import Format, show
from nas_service.yaml_text import family_yaml

app = typer.Typer(help="Families of architectures to search.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_families(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List the families."""
    with connected(server) as backend:
        families = backend.families()
    form = options.chosen_format(output, as_json)
    show(families, form=form, columns=("name", "combinations", "summary"))


@app.command("show")
def show_family(
    name: str,
    server: options.Server = None,
    output: options.Output = Format.yaml,
    as_json: options.Json = False,
) -> None:
    """Print a family's search space, ready to copy into a spec under `space:` and edit."""
    with connected(server) as backend:
        family = backend.family(name)
    form = options.chosen_format(output, as_json)
    if form is Format.yaml:
        print(family_yaml(family), end="")  # noqa: T201
    else:
        show(family, form=form, columns=("name", "combinations", "summary", "source"))
