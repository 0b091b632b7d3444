"""Options that many commands share."""

from typing import Annotated

import typer

from nas_service.cli.output import Format

Server = Annotated[
    str | None,
    typer.Option("--server", help="Address of a server; without it (and NAS_SERVER) the local data folder."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print data.")]
Json = Annotated[bool, typer.Option("--json", help="The same as -o json.")]


def chosen_format(output: Format, as_json: bool) -> Format:
    """Let --json win over -o."""
    return Format.json if as_json else output
