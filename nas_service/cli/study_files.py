"""`nas study report | bundle | data | extend`: take a study away as files, and let one go on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli import options
from nas_service.cli.backend import Backend, connected
from nas_service.cli.naming import named_study
from nas_service.cli.output import say
from nas_service.client import RemoteService
from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS
from nas_service.spec_file import read_change
from nas_service.studies import Constraint
from nas_service.study_files import FileName, parts

Study = Annotated[str, typer.Argument(help="Number or name of the study.")]
Limit = dict[str, float | bool]
# What may stand behind a bound.
SOFTNESS: dict[str, dict[str, bool]] = {"": {}, "soft": {"soft": True}, "hard": {"soft": False}}
Target = Annotated[Path | None, typer.Option("-o", "--output", help="The file to write.")]


def report(study: Study, output: Target = None, server: options.Server = None) -> None:
    """Write a report: one HTML file with front, networks, spec and versions, without scripts."""
    _save(study, "report.html", output, server)


def bundle(study: Study, output: Target = None, server: options.Server = None) -> None:
    """Write a replay bundle: spec, versions, proposals in their order, trials, curves, and how to replay."""
    _save(study, "bundle.zip", output, server)


def data(study: Study, output: Target = None, server: options.Server = None) -> None:
    """Write all trials: a table for a name that ends in .csv, else everything as JSON lines."""
    is_table = output is not None and output.suffix.lower() == ".csv"
    _save(study, "trials.csv" if is_table else "trials.jsonl", output, server)


def extend(
    study: Study,
    trials: Annotated[int | None, typer.Option(help="Candidates to train, those before included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes since the launch.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train, those before included.")] = None,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="metric=bound, metric=bound:soft or :hard, metric=none for none; may be repeated."),
    ] = None,
    server: options.Server = None,
) -> None:
    """Give the study another budget, name or limits; one that has finished goes on if it has room."""
    budget = {"trials": trials, "minutes": minutes, "epochs": epochs}
    limits = dict(_limit(text) for text in limit or [])
    change = {
        "name": name,
        "budget": {field: value for field, value in budget.items() if value is not None},
        "constraints": limits,
    }
    given = {field: value for field, value in change.items() if value}
    if not given:
        raise InvalidInput(
            FieldError("", "nothing is to change", "--trials, --minutes, --epochs, --name, --limit")
        )
    with connected(server) as backend:
        found = named_study(backend, study)
        wanted = read_change({**given, "constraints": _completed(limits, found.spec.constraints)})
        changed = backend.change_study(found.study, wanted)
    say(f"study {changed.study} ({changed.name}) is {changed.state}: {changed.reason}")


def _completed(limits: Mapping[str, Limit | None], present: Mapping[str, Constraint]) -> dict[str, Any]:
    """Return new bounds with the statistic and the softness that the limits had."""
    return {name: limit and {**_manner(present.get(name)), **limit} for name, limit in limits.items()}


def _manner(limit: Constraint | None) -> dict[str, Any]:
    return limit.model_dump(include={"at", "soft"}) if limit else {}


def _limit(text: str) -> tuple[str, Limit | None]:
    """Return the metric and the bound of `params=30000`; `accuracy` and the like are bounded from below."""
    metric, _, words = text.partition("=")
    value, _, manner = words.partition(":")
    if metric in METRICS and value.lower() == "none":
        return metric, None
    try:
        bound = float(value)
        softness = SOFTNESS[manner]
    except (ValueError, KeyError):
        raise InvalidInput(
            FieldError("/limit", f"{text[:60]!r} is no limit", "such as params=30000 or params=30000:soft")
        ) from None
    side = "min" if metric in METRICS and METRICS[metric].goal == "max" else "max"
    return metric, {side: bound, **softness}


def _save(study: str, name: FileName, output: Path | None, server: str | None) -> None:
    """Write a file of a study, whole or not at all."""
    with connected(server) as backend:
        number = named_study(backend, study).study
        target = output or Path(f"study-{number}-{name}")
        part = target.with_name(f".part-{target.name}")
        try:
            with part.open("wb") as file:
                _receive(backend, number, name, file.write)
            part.replace(target)
        except OSError as error:
            raise InvalidInput(FieldError("/output", f"cannot write {target}: {error.strerror}")) from error
        finally:
            part.unlink(missing_ok=True)
    say(f"wrote {target}")


def _receive(backend: Backend, study: int, name: FileName, write: Callable[[bytes], object]) -> None:
    if isinstance(backend, RemoteService):
        backend.receive_study_file(study, name, write)
        return
    for part in parts(backend, study, name):
        write(part)
