"""What `nas search --dry-run` tells of a search: sentences for people, all figures for programs."""

from collections.abc import Iterator, Mapping

from nas_service.cli.backend import Backend
from nas_service.cli.local_workers import worker_count
from nas_service.cli.output import Format, say, show
from nas_service.dataset_paths import path_to_register
from nas_service.metrics import METRICS, bound_text
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.views import LimitHint, Preflight

COLUMNS = ("feasible_share", "binding", "estimated_minutes", "estimate_basis", "refusal")


def preview(backend: Backend, spec: StudySpec, form: Format, workers: int | None) -> int:
    """Print what would be searched; the exit code is that of the search.

    Args:
        backend: Where it would be; a local one is left as it was, a server is sent a data set that it lacks.
        spec: The study.
        form: Of what is printed.
        workers: As many as a local search was told to start; None for its own choice.
    """
    report = _preflight(backend, spec, workers)
    if form is Format.table:
        print("\n".join(sentences(report, spec)))  # noqa: T201
    else:
        show(report, form=form, columns=COLUMNS)
    if report.refusal is None:
        return 0
    say(f"nas: {report.refusal}")
    return 2


def sentences(report: Preflight, spec: StudySpec) -> Iterator[str]:
    """Yield what a report says, a line each."""
    kept = [
        *(["limit on size"] if report.broken_share else []),
        *(["rule"] if report.forbidden_share else []),
    ]
    what = f"keep every {' and '.join(kept)}" if kept else "are allowed: no limit rejects by size"
    drawn = f"{report.sampled:,} networks drawn from {report.combinations:,} combinations"
    yield f"feasible    {percent(report.feasible_share)} of {drawn} {what}"
    if report.binding:
        yield f"binding     {report.binding}"
    for name, share in report.soft_share.items():
        yield f"soft        {percent(share)} break the limit on {name}: trained, but kept off the front"
    if hints := _other_bounds(report.hints):
        yield f"otherwise   {hints}"
    if report.smallest_feasible and report.largest_feasible:
        yield f"sizes       {_ranges(report.smallest_feasible, report.largest_feasible)}"
    if later := [name for name in spec.constraints if METRICS[name].kind != "cost"]:
        yield f"unknown     how many keep the limit on {', '.join(later)}: that shows in the search"
    if report.estimated_minutes is None:
        yield f"time        no estimate: {report.estimate_basis}"
    else:
        yield f"time        about {duration(report.estimated_minutes)} ({report.estimate_basis})"


def duration(minutes: float) -> str:
    """Return how long something takes, in the unit that people would use.

    Example:
        >>> duration(0.0989), duration(12.34), duration(300)
        ('6 seconds', '12 minutes', '5.0 hours')
    """
    if minutes < 1.5:
        seconds = max(1, round(60 * minutes))
        return f"{seconds} second{'s' * (seconds != 1)}"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"


def percent(share: float) -> str:
    """Return a share in whole per cent, and what is neither none nor all never as 0 % or 100 %.

    Example:
        >>> percent(0.5), percent(0.001), percent(0.999), percent(1.0)
        ('50 %', 'under 1 %', 'over 99 %', '100 %')
    """
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def _other_bounds(hints: list[LimitHint]) -> str:
    by_metric: dict[str, list[str]] = {}
    for hint in hints:
        told = f"at most {bound_text(hint.max)} keeps {percent(hint.feasible_share)}"
        by_metric.setdefault(hint.metric, []).append(told)
    return "; ".join(f"{name} {', '.join(bounds)}" for name, bounds in by_metric.items())


def _ranges(smallest: Mapping[str, float], largest: Mapping[str, float]) -> str:
    spans = (f"{smallest[name]:,.0f} to {largest[name]:,.0f} {name}" for name in ("params", "macs"))
    return f"feasible ones have {' and '.join(spans)}"


def _preflight(backend: Backend, spec: StudySpec, workers: int | None) -> Preflight:
    path = path_to_register(spec.dataset, {dataset.name for dataset in backend.datasets()})
    if isinstance(backend, Service):
        dataset = backend.inspected_dataset(path) if path else None
        return backend.preflight_with(spec, worker_count(workers), dataset=dataset)
    if path is not None:
        added = backend.add_dataset(path, None)
        say(f"the server needs the data set to tell of it: registered there as {added.name}")
        spec = spec.model_copy(update={"dataset": added.name})
    return backend.preflight(spec)
