"""`nas study watch|clone|pause|resume|drain|cancel`: follow a study and steer it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.backend import Backend, connected
from nas_service.cli.described import read_description
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, say, show
from nas_service.cli.search import follow, report
from nas_service.cli.study import COLUMNS, Study
from nas_service.views import StudyView

AFTERWARDS = typer.Option("-o", "--output", help="Print the study afterwards in this form.")
Printed = Annotated[Format | None, AFTERWARDS]


def watch(
    study: Study,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> int:
    """Follow a study until it ends, and print its front; Ctrl-C leaves it running."""
    with connected(server) as backend:
        number = named_study(backend, study).study
        return report(backend, follow(backend, number, None), options.chosen_format(output, as_json))


def clone(
    study: Study,
    changes: Annotated[
        Path | None, typer.Argument(help="YAML or JSON file: fields of the spec that are to be otherwise.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the copy.")] = None,
    server: options.Server = None,
    output: Printed = None,
    as_json: options.Json = False,
) -> None:
    """Launch a study with the spec of another one, for instance with other limits."""
    wanted = {**(read_description(changes) if changes else {}), **({"name": name} if name else {})}

    def act(backend: Backend, number: int) -> StudyView:
        return backend.clone(number, wanted)

    _steer(study, act, server, output, as_json)


def pause(
    study: Study, server: options.Server = None, output: Printed = None, as_json: options.Json = False
) -> None:
    """Propose nothing more and let running trials end; `resume` goes on."""
    _steer(study, lambda backend, number: backend.pause(number), server, output, as_json)


def resume(
    study: Study, server: options.Server = None, output: Printed = None, as_json: options.Json = False
) -> None:
    """Go on with a paused study."""
    _steer(study, lambda backend, number: backend.resume(number), server, output, as_json)


def drain(
    study: Study, server: options.Server = None, output: Printed = None, as_json: options.Json = False
) -> None:
    """Propose nothing more; the study ends when its running trials have."""
    _steer(study, lambda backend, number: backend.drain(number), server, output, as_json)


def cancel(
    study: Study, server: options.Server = None, output: Printed = None, as_json: options.Json = False
) -> None:
    """End the study now; running trials are abandoned, finished ones stay."""
    _steer(study, lambda backend, number: backend.cancel(number), server, output, as_json)


def _steer(
    study: str,
    act: Callable[[Backend, int], StudyView],
    server: str | None,
    output: Format | None,
    as_json: bool,
) -> None:
    with connected(server) as backend:
        changed = act(backend, named_study(backend, study).study)
    say(f"study {changed.study} ({changed.name}) is {changed.state}: {changed.reason}")
    if output or as_json:
        show(changed, form=options.chosen_format(output or Format.json, as_json), columns=COLUMNS)
