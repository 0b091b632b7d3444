"""`nas job`: exports, confirmations and retrainings that workers do."""

from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.following import fetch_files, followed
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, as_plain, pick, print_table, say, show
from nas_service.errors import FieldError, InvalidInput
from nas_service.jobs import STATES

app = typer.Typer(help="Exports, confirmations and retrainings.", no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("id", "kind", "study_id", "trial_id", "state", "progress", "reason")
Number = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command("list")
def list_jobs(
    study: Annotated[str | None, typer.Option(help="Only those of a study, by number or name.")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only those that are {', '.join(STATES)}.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=500)] = 50,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """List jobs, the newest first."""
    if state is not None and state not in STATES:
        raise InvalidInput(FieldError("/state", f"{state[:40]!r} is unknown", ", ".join(STATES)))
    with connected(server) as backend:
        of = named_study(backend, study).study if study else None
        found = backend.jobs(study=of, state=state, page_size=limit).items
    show(found, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("show")
def show_job(
    job: Number,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Show everything known of a job: how far it is, what it found, its files."""
    with connected(server) as backend:
        found = backend.job(job)
    form = options.chosen_format(output, as_json)
    if form is not Format.table:
        show(found, form=form, columns=COLUMNS)
        return
    plain = as_plain(found)
    names = (*COLUMNS, "worker", "attempt", "created_at", "started_at", "finished_at")
    rows = [{"figure": name, "value": pick(plain, name)} for name in names if pick(plain, name) is not None]
    rows += [{"figure": "file", "value": name} for name in plain["artifacts"]]
    print_table(rows, ("figure", "value"))


@app.command("cancel")
def cancel_job(
    job: Number,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """End a job that waits or runs."""
    with connected(server) as backend:
        ended = backend.cancel_job(job)
    show(ended, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("fetch")
def fetch(
    job: Number,
    directory: Annotated[Path, typer.Option("-o", "--directory", help="Folder to write; made if missing.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    server: options.Server = None,
) -> None:
    """Wait for a job, and write its files into a folder."""
    with connected(server) as backend:
        found = followed(backend, backend.job(job))
        fetch_files(backend, found, directory, replaces=force)
    say(f"wrote {', '.join(sorted(found.artifacts))} to {directory}")
