"""`nas search`: launch a study, follow it, print its front."""

import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli import options
from nas_service.cli.backend import Backend, connected, server_address
from nas_service.cli.confirming import follow_confirmation, show_confirmation
from nas_service.cli.described import read_description
from nas_service.cli.local_workers import LocalWorkers
from nas_service.cli.output import Format, say, say_next, show
from nas_service.cli.preview import preview
from nas_service.cli.study import FRONT_COLUMNS, front_rows
from nas_service.cli.waiting import WaitingNews, say_missing_device
from nas_service.dataset_paths import path_to_register
from nas_service.errors import FieldError, InvalidInput
from nas_service.metrics import METRICS
from nas_service.progress_bar import StudyBar
from nas_service.settings import Settings
from nas_service.spec_file import merged_spec, space_name
from nas_service.studies import ACTIVE_STATES, PRESETS, StudySpec
from nas_service.views import StudyView

POLL_S = 0.5


def search(
    spec_file: Annotated[Path | None, typer.Argument(help="YAML or JSON; flags go over it.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A registered data set, or a path to one.")] = None,
    family: Annotated[str | None, typer.Option(help="Search space; see 'nas family list'.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study.")] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="Metric, or metric:max or metric:min; may be repeated.")
    ] = None,
    max_params: Annotated[float | None, typer.Option(help="Limit on trainable parameters.")] = None,
    max_macs: Annotated[float | None, typer.Option(help="Limit on multiply-accumulates.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Limit on the median latency.")] = None,
    max_model_bytes: Annotated[
        float | None, typer.Option(help="Limit on the bytes of all weights in fp32, not of a file.")
    ] = None,
    max_peak_activation_bytes: Annotated[float | None, typer.Option(help="Limit on activations.")] = None,
    soft: Annotated[
        list[str] | None,
        typer.Option(help="A limit, such as params: what breaks it is trained, off the front; repeatable."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Budget: candidates that are trained.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget: wall-clock minutes.")] = None,
    budget_epochs: Annotated[int | None, typer.Option(help="Budget: epochs of all candidates.")] = None,
    stall: Annotated[
        int | None, typer.Option(help="End when so many trials in a row add next to no hypervolume.")
    ] = None,
    stall_gain: Annotated[
        float | None, typer.Option(help="With --stall: the share they must add, 0.01 by default.")
    ] = None,
    random_share: Annotated[
        float | None, typer.Option(help="Share of the candidates to draw at random, for comparison.")
    ] = None,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(help="Train first: presets, a study's number, or an architecture's file; repeatable."),
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(help="At the end confirm so many of the front on the test part.")
    ] = None,
    confirm_seeds: Annotated[int | None, typer.Option(help="With --confirm: seeds of each, 3.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a candidate not stopped early.")] = None,
    early_stopping: Annotated[str | None, typer.Option(help="pareto or none.")] = None,
    sampler: Annotated[str | None, typer.Option(help="auto, random, tpe, nsga2, nsga3 or gp.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of proposals, split and training.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where latency counts: cpu, cpu-torch, cuda, or a named device.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Bit-equal training on one machine, slower.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Local worker processes; one a core by default.", min=1)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be searched.")] = False,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> int:
    """Search a data set for the best networks within limits, and print the front.

    Without a server the study runs in the local data folder with workers of its own.
    """
    bounds = {
        "params": max_params,
        "macs": max_macs,
        "latency_ms": max_latency_ms,
        "model_bytes": max_model_bytes,
        "peak_activation_bytes": max_peak_activation_bytes,
    }
    changes = {
        "dataset": dataset,
        "space": family,
        "name": name,
        "objectives": [_objective(text) for text in objective] if objective else None,
        "device": device,
        "search": _given(
            sampler=sampler,
            seed=seed,
            random_share=random_share,
            warm_start=[_start(text) for text in warm_start] if warm_start else None,
        ),
        "training": _given(
            epochs=epochs,
            early_stopping=early_stopping,
            recipe={"deterministic": True} if deterministic else None,
        ),
        "budget": _budget(trials, minutes, budget_epochs, _given(trials=stall, gain=stall_gain)),
        "confirm": _given(top=confirm, seeds=confirm_seeds),
        "constraints": _limits(bounds, soft or []),
    }
    form = options.chosen_format(output, as_json)
    base = read_description(spec_file) if spec_file else {}
    _refuse_unbounded(soft or [], bounds, base.get("constraints"))
    if "dataset" not in base and dataset is None:
        raise InvalidInput(FieldError("/dataset", "missing; give --dataset NAME_OR_PATH or a spec file"))
    with connected(server) as backend:
        spec = merged_spec(base, changes)
        say_missing_device(backend, spec)
        if dry_run:
            return preview(backend, spec, form, workers)
        study = backend.create_study(_with_registered_dataset(backend, spec))
        is_local = server_address(server) is None
        say(f"study {study.study} ({study.name}) on {study.spec.dataset}, space {space_name(spec.space)}")
        local = LocalWorkers(Settings(), study.study, workers) if is_local else None
        final = follow(backend, study.study, local)
        return report(backend, final, form)


def _limits(bounds: dict[str, float | None], soft: list[str]) -> dict[str, dict[str, Any]]:
    """Return upper limits by metric; one that is only said to be soft has its bound in the spec file."""
    limits: dict[str, dict[str, Any]] = {
        name: {"max": bound} for name, bound in bounds.items() if bound is not None
    }
    known = [name for name, metric in METRICS.items() if metric.kind != "quality"]
    for name in soft:
        if name not in known:
            raise InvalidInput(FieldError("/soft", f"{name[:60]!r} cannot be a soft limit", ", ".join(known)))
        limits.setdefault(name, {})["soft"] = True
    return limits


def _refuse_unbounded(soft: list[str], bounds: dict[str, float | None], in_file: Any) -> None:
    """Refuse a soft limit whose bound neither a flag nor the spec file gives."""
    for name in soft:
        if bounds.get(name) is None and not (isinstance(in_file, dict) and in_file.get(name)):
            flag = f"--max-{name.replace('_', '-')} or " if name in bounds else ""
            needed = f"{flag}a limit in the spec file: constraints: {{{name}: {{max: NUMBER}}}}"
            raise InvalidInput(FieldError("/soft", f"--soft {name} needs {needed}"))


def follow(backend: Backend, study_id: int, local: LocalWorkers | None) -> StudyView:
    """Show progress, and what a study waits for, until it ends.

    Ctrl-C pauses a local study and leaves a remote one running.
    """
    # Told to end by another process is as good as Ctrl-C: local workers must not be left behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    news = WaitingNews(has_own_workers=local is not None)
    try:
        with StudyBar() as bar:
            if local:
                local.start()
            while True:
                study = backend.study(study_id)
                bar.show(study)
                if study.state not in ACTIVE_STATES:
                    break
                news.tell(study)
                if local:
                    local.supervise()
                time.sleep(POLL_S)
        if study.state == "finished" and study.spec.confirm is not None:
            follow_confirmation(backend, study_id, local)
        return backend.study(study_id)
    except KeyboardInterrupt:
        if backend.study(study_id).state not in ACTIVE_STATES:
            say(f"finished; go on confirming its front with: nas study confirm {study_id}")
        elif local:
            backend.pause(study_id)
            say(f"paused; go on with: nas study resume {study_id} && nas worker start --study {study_id}")
        else:
            say(f"still running on the server; look with: nas study show {study_id}")
        raise
    finally:
        if local:
            local.stop()
        signal.signal(signal.SIGTERM, before)


def report(backend: Backend, study: StudyView, form: Format) -> int:
    """Print the result of an ended study and return the exit code."""
    result = backend.result(study.study)
    if form in (Format.json, Format.yaml):
        show(result, form=form)
    elif result.front or form is Format.csv:
        show(front_rows(backend, study.study), form=form, columns=FRONT_COLUMNS)
        if study.spec.confirm is not None and result.front:
            show_confirmation(backend.confirmation(study.study), form)
    counts = ", ".join(f"{count} {state}" for state, count in study.trials.model_dump().items() if count)
    say(f"study {study.study} {study.state}: {study.reason} ({counts or 'no trials'})")
    if result.left_out:
        reasons = ", ".join(f"{name} {count:,}" for name, count in result.left_out.items())
        say(f"candidates left out before any was proposed, by what they break: {reasons}")
    if study.state == "failed":
        say_next({f"nas study extend {study.study} --limit METRIC=BOUND": "go on under another limit"})
        return 1
    best = max(result.front, key=lambda member: member.values.get("accuracy", 0.0), default=None)
    trial = f"{study.study} {best.number if best else 'NUMBER'}"
    say_next(
        {
            f"nas study front {study.study}": "the front again",
            f"nas trial show {trial}": "all about one network",
            f"nas trial export {trial} -o FOLDER": "take it away",
            "nas up": "the same on a page",
        }
    )
    return 0


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _budget(
    trials: int | None, minutes: float | None, epochs: int | None, stall: dict[str, Any]
) -> dict[str, Any]:
    bounds = _given(trials=trials, minutes=minutes, epochs=epochs, stall=stall or None)
    # Minutes or epochs alone mean: as many trials as fit.
    return {"trials": None, **bounds} if minutes is not None or epochs is not None else bounds


def _start(text: str) -> Any:
    """Return what a warm start names: presets, a study, or the architecture in a file."""
    if text == PRESETS or text.isdigit():
        return int(text) if text.isdigit() else text
    return read_description(Path(text))


def _objective(text: str) -> dict[str, str]:
    metric, _, goal = text.partition(":")
    return {"metric": metric, "goal": goal} if goal else {"metric": metric}


def _with_registered_dataset(backend: Backend, spec: StudySpec) -> StudySpec:
    """Register a data set that is given as a path, and name it in the spec."""
    path = path_to_register(spec.dataset, {dataset.name for dataset in backend.datasets()})
    if path is None:
        return spec
    return spec.model_copy(update={"dataset": backend.add_dataset(path, None).name})
