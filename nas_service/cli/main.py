"""Entry point of `nas`: commands, and what each error means to the shell.

Exit codes: 0 ok, 1 failed, 2 usage or invalid input, 3 not found, 4 conflict, 5 server or database away.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError

from nas_service import __version__
from nas_service.cli import (
    artifacts,
    data,
    database,
    describe,
    device,
    doctor,
    exported,
    family,
    job,
    model,
    search,
    steering,
    study,
    token,
    trial,
    up,
    worker,
)
from nas_service.cli.config_file import read_config_file
from nas_service.cli.examples import epilog_of
from nas_service.cli.output import say
from nas_service.errors import Conflict, FieldError, InvalidInput, NotFound, ServiceError, Unavailable
from nas_service.plain_data import shown
from nas_service.spec_file import needed_kind

# Typer carries a copy of click and exports only leaves of its exceptions; what is raised are their bases.
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])
ClickException = cast(type[Exception], typer.BadParameter.__mro__[2])
EXIT_CODES: tuple[tuple[type[ServiceError], int], ...] = (
    (InvalidInput, 2),
    (NotFound, 3),
    (Conflict, 4),
    (Unavailable, 5),
)

app = typer.Typer(
    name="nas",
    help="Search for small, fast, accurate multi-scale CNNs under limits of size and latency.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("demo")(up.demo)
app.command("search")(search.search)
for verb in (
    steering.watch,
    steering.clone,
    steering.pause,
    steering.resume,
    steering.drain,
    steering.cancel,
):
    study.app.command(verb.__name__)(verb)
app.add_typer(study.app, name="study")
app.add_typer(trial.app, name="trial")
app.add_typer(job.app, name="job")
app.add_typer(data.app, name="data")
app.command("describe")(describe.describe_file)
app.command("predict")(exported.predict)
app.command("serve-model")(model.serve_model)
app.command("benchmark")(model.benchmark)
app.add_typer(family.app, name="family")
app.add_typer(worker.app, name="worker")
app.add_typer(device.app, name="device")
app.add_typer(token.app, name="token")
app.command("audit")(token.audit)
app.add_typer(database.app, name="db")
app.add_typer(artifacts.app, name="artifacts")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def _global_options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version."
    ),
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token for a server; NAS_TOKEN otherwise.")
    ] = None,
) -> None:
    """Hold the options that stand before a command."""
    if token_file is None:
        return
    try:
        os.environ["NAS_TOKEN"] = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(FieldError("/token-file", f"{token_file} cannot be read: {error}")) from error


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; every error is one line on stderr."""
    sys.exit(run(arguments))


def command_line() -> Any:
    """Return the commands, each with the examples that its help ends with."""
    command: Any = typer.main.get_command(app)
    _teach(command, "")
    return command


def _teach(command: Any, name: str) -> None:
    command.epilog = epilog_of(name) or command.epilog
    for part, inner in getattr(command, "commands", {}).items():
        _teach(inner, f"{name} {part}".strip())


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = command_line()
    try:
        read_config_file()
        outcome = command.main(args=arguments, prog_name="nas", standalone_mode=False)
    except ClickException as error:
        return _explain(error)
    except ServiceError as error:
        say(f"nas: {error}")
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
    except (KeyboardInterrupt, typer.Abort):
        say("nas: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has left; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return outcome if isinstance(outcome, int) else 0


def _plain_value(error: BaseException) -> str | None:
    """Return what an option must be, where its value is no number or out of bounds; else None."""
    parameter, cause = getattr(error, "param", None), error.__cause__
    if parameter is None or not isinstance(cause, ValidationError):
        return None
    finding = cause.errors(include_url=False)[0]
    needed = needed_kind(finding)
    if needed is None:
        return None
    name = parameter.opts[-1] if parameter.opts else parameter.name
    return f"{name} {needed}, not {shown(finding['input'])}"


def _explain(error: BaseException) -> int:
    """Say in one line what is wrong with the arguments; a bare group prints its help instead."""
    text = _plain_value(error) or error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "nas"
    is_usage = isinstance(error, UsageError)
    say(text if "\n" in text else f"{path}: {text} (see '{path} --help')" if is_usage else f"nas: {text}")
    return 2 if is_usage else 1
