"""`nas study`: look at studies and steer them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli import options
from nas_service.cli.backend import Backend, connected
from nas_service.cli.confirming import confirm
from nas_service.cli.described import read_description
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, say, show
from nas_service.cli.study_files import bundle, data, extend, report
from nas_service.views import FrontForm, StudyView

app = typer.Typer(help="Studies.", no_args_is_help=True, rich_markup_mode=None)
Study = Annotated[str, typer.Argument(help="Number or name of the study.")]
app.command("confirm")(confirm)
for command in (report, bundle, data, extend):
    app.command(command.__name__)(command)
COLUMNS = ("study", "name", "state", "trials.complete", "trials.running", "budget_trials", "reason")
FRONT_COLUMNS = ("number", "accuracy", "latency_ms", "params", "macs", "network")


@app.command("list")
def list_studies(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List all studies, the newest first."""
    with connected(server) as backend:
        studies = list(_all_studies(backend))
    show(studies, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("show")
def show_study(
    study: Study,
    server: options.Server = None,
    output: options.Output = Format.yaml,
    as_json: options.Json = False,
) -> None:
    """Show one study with its spec, its counts and its front."""
    with connected(server) as backend:
        result = backend.result(named_study(backend, study).study)
    show(result, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("front")
def show_front(
    study: Study,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Of what was confirmed, by its means on the test part.")
    ] = False,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Show the Pareto front: the trials that no other trial beats in every objective."""
    form = options.chosen_format(output, as_json)
    which: FrontForm = "confirmed" if confirmed else "searched"
    with connected(server) as backend:
        number = named_study(backend, study).study
        if form in (Format.json, Format.yaml):
            show(backend.front(number, form=which), form=form)
            return
        rows = front_rows(backend, number, which)
        more = ("predicted",) if any(row["predicted"] for row in rows) else ()
        show(rows, form=form, columns=(*FRONT_COLUMNS, *more))


def front_rows(backend: Backend, study: int, form: FrontForm = "searched") -> list[dict[str, Any]]:
    """Return the members of a study's front as flat rows, most accurate first."""
    members = backend.front(study, form=form).front
    rows = [
        {
            "number": member.number,
            **member.values,
            "network": member.summary,
            "predicted": ", ".join(member.predicted) or None,
        }
        for member in members
    ]
    return sorted(rows, key=lambda row: -float(row.get("accuracy", 0.0)))


@app.command("widen")
def widen(
    study: Study,
    space: Annotated[Path, typer.Argument(help="YAML or JSON file of the new space.")],
    server: options.Server = None,
) -> None:
    """Give the study another space; earlier trials count where they are legal in it."""
    data = read_description(space)
    with connected(server) as backend:
        changed = backend.change_space(named_study(backend, study).study, data)
    _told(changed)
    say(f"its space is of version {changed.space_version}")


def _told(study: StudyView) -> None:
    say(f"study {study.study} ({study.name}) is {study.state}: {study.reason}")


def _all_studies(backend: Backend) -> Iterator[StudyView]:
    token: str | None = None
    while True:
        page = backend.studies(page_size=500, page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return
