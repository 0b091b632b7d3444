"""`nas study confirm` and `nas trial retrain`: networks trained for good."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli import options
from nas_service.cli.backend import Backend, connected
from nas_service.cli.following import fetch_files, followed
from nas_service.cli.lent_workers import workers_for
from nas_service.cli.local_workers import LocalWorkers
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, cell, say, show
from nas_service.confirmations import (
    ConfirmationView,
    ConfirmRequest,
    RetrainRequest,
    confirmation_columns,
    confirmation_rows,
)
from nas_service.errors import ServiceError
from nas_service.spec_file import read_model
from nas_service.whole_folder import check_free

POLL_S = 0.5
Study = Annotated[str, typer.Argument(help="Number or name of the study.")]
Workers = Annotated[
    int | None, typer.Option(help="Local worker processes, where none are alive; one a core.", min=1)
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Only ask for it; workers do it when they can.")]


def confirm(
    study: Study,
    top: Annotated[
        int | None, typer.Option(help="So many members of the front, those that cover most of it.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each, from scratch; 3 by default.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs; those of the study by default.")] = None,
    data: Annotated[str | None, typer.Option(help="train_and_validation (default) or train.")] = None,
    trial: Annotated[
        list[int] | None, typer.Option(help="Number of a trial instead; may be repeated.")
    ] = None,
    workers: Workers = None,
    no_wait: NoWait = False,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Train the front again from scratch with several seeds, and measure it on the test part.

    The search has seen only validation data, and chose by them: what it says of its best is too hopeful.
    What was confirmed before, with the same epochs and data, is not trained again.
    """
    asked = {"top": top, "seeds": seeds, "epochs": epochs, "data": data, "trials": trial}
    request = read_model({name: value for name, value in asked.items() if value is not None}, ConfirmRequest)
    with connected(server) as backend:
        study_id = named_study(backend, study).study
        view = backend.confirm(study_id, request)
        if view.is_under_way and not no_wait:
            with workers_for(backend, server, study_id, workers) as local:
                view = follow_confirmation(backend, study_id, local)
    show_confirmation(view, options.chosen_format(output, as_json))


def follow_confirmation(backend: Backend, study_id: int, local: LocalWorkers | None) -> ConfirmationView:
    """Say how far a confirmation is until all its runs have ended, and return it."""
    told = ""
    while True:
        view = backend.confirmation(study_id)
        news = f"confirming: {view.runs_complete + view.runs_failed} of {view.runs} runs"
        if news != told:
            say(news)
            told = news
        if not view.is_under_way:
            return view
        if local:
            local.supervise()
        time.sleep(POLL_S)


def show_confirmation(view: ConfirmationView, form: Format) -> None:
    """Print a confirmation; what failed is said, and is an error where nothing else came of it."""
    if form is Format.table:
        show(
            [_in_percent(row) for row in confirmation_rows(view)],
            form=form,
            columns=confirmation_columns(view),
        )
    else:
        show(view, form=form)
    failed = [run for member in view.members for run in member.runs if run.state in ("failed", "cancelled")]
    for run in failed:
        say(f"job {run.job} {run.state}: {run.reason}")
    if view.optimism is not None:
        how = "hopeful" if view.optimism > 0 else "modest"
        points = f"{100 * abs(view.optimism):.2f} percentage points"
        say(f"the search was {points} too {how} of {view.quality} on average")
    if failed and not view.runs_complete and not view.is_under_way:
        raise ServiceError(f"none of {view.runs} runs is complete")


def _in_percent(row: dict[str, Any]) -> dict[str, Any]:
    """Write the qualities of a confirmation's row as all tables do; they are its fractions."""
    return {
        name: f"{100 * value:.2f} %" if isinstance(value, float) else value for name, value in row.items()
    }


def retrain(
    study: Study,
    number: Annotated[int, typer.Argument(help="Number of the trial within it.")],
    epochs: Annotated[int, typer.Option(help="How long.")],
    data: Annotated[str | None, typer.Option(help="A registered data set; the study's by default.")] = None,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="Start from the trial's weights, not from scratch.")
    ] = False,
    freeze: Annotated[int, typer.Option(help="Lowest stages that stay as they are.")] = 0,
    part: Annotated[str | None, typer.Option(help="train_and_validation (default) or train.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and augmentation.")] = None,
    directory: Annotated[
        Path | None, typer.Option("-o", "--directory", help="Folder for its files; made if missing.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    workers: Workers = None,
    no_wait: NoWait = False,
    server: options.Server = None,
    # Not -o, which names the folder here as it does where a network is exported.
    output: Annotated[Format, typer.Option("--output", help="How to print data.")] = Format.table,
    as_json: options.Json = False,
) -> None:
    """Train a trial's network once more: longer, or for other data, and measure it on the test part."""
    asked = {"epochs": epochs, "dataset": data, "data": part, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    request = read_model({**given, "from_weights": from_weights, "freeze": freeze}, RetrainRequest)
    if directory is not None:
        check_free(directory, replaces=force)
    with connected(server) as backend:
        study_id = named_study(backend, study).study
        job = backend.retrain(backend.trial_by_number(study_id, number).id, request)
        if not no_wait:
            with workers_for(backend, server, study_id, workers) as local:
                job = followed(backend, job, local)
            if directory is not None:
                fetch_files(backend, job, directory, replaces=force)
    form = options.chosen_format(output, as_json)
    if form is not Format.table:
        show(job, form=form)
        return
    figures = job.result.get("metrics", {})
    rows = [{"figure": name, "test part": cell(name, value)} for name, value in figures.items()]
    show(rows or [{"figure": "job", "test part": job.id}], form=form, columns=("figure", "test part"))
    if directory is not None and not no_wait:
        say(f"wrote {', '.join(sorted(job.artifacts))} to {directory}")
    if not no_wait:
        say(f"to run elsewhere: nas trial export {study} {number} --job {job.id} -o FOLDER")
