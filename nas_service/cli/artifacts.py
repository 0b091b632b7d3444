"""`nas artifacts`: stored weights and architectures."""

from dataclasses import replace
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.output import Format, say, show
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store import collection

app = typer.Typer(help="Stored files.", no_args_is_help=True, rich_markup_mode=None)


@app.command("collect")
def collect(
    older_than: Annotated[
        float, typer.Option(help="Hours since an artifact was last stored, at least.", min=0.0)
    ] = collection.GRACE_S / 3600,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Also files that this database does not know; only if no other keeps its own there.",
        ),
    ] = False,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Delete artifacts that no trial refers to, such as those of deleted studies."""
    service = Service.open(Settings())
    try:
        collected = collection.collect(
            service.engine,
            service.stores.artifacts,
            older_than_s=older_than * 3600,
            dry_run=dry_run,
            unknown=unknown,
        )
        if not dry_run:
            # Of data sets that were being stored.
            swept = service.stores.datasets.sweep(older_than * 3600)
            collected = replace(collected, leftovers=collected.leftovers + swept)
    finally:
        service.close()
    names = ("artifacts", "bytes", "leftovers", "kept")
    figures = {name: getattr(collected, name) for name in names}
    show(figures, form=options.chosen_format(output, as_json), columns=names)


@app.command("verify")
def verify(output: options.Output = Format.table, as_json: options.Json = False) -> int:
    """Read every artifact and data set that is referred to, and list the missing and the damaged."""
    service = Service.open(Settings())
    try:
        flaws = list(collection.flaws(service.engine, service.stores))
    finally:
        service.close()
    rows = [{"kind": flaw.kind, "sha256": flaw.sha256, "flaw": flaw.flaw} for flaw in flaws]
    if rows:
        show(rows, form=options.chosen_format(output, as_json), columns=("kind", "sha256", "flaw"))
    say(f"{len(rows)} files are missing or damaged" if rows else "all files are whole")
    return 1 if rows else 0
