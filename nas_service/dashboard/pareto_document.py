"""The plot of a front as a document: figure, message where there is nothing to draw, caption."""

from typing import Any

from nas_service.dashboard import front_layers, notes
from nas_service.dashboard.cloud import Cloud
from nas_service.dashboard.figures import Figure, pareto
from nas_service.dashboard.front_choice import FrontChoice
from nas_service.dashboard.front_report import FrontReport
from nas_service.dashboard.front_words import pick_names
from nas_service.dashboard.wording import label, short_label
from nas_service.fronts import bare_front
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.studies import Constraint
from nas_service.trade_offs import own_limits
from nas_service.views import StudyView

Document = dict[str, Any]


def document(
    service: Service, choice: FrontChoice, alive: int, report: FrontReport | None = None
) -> Document:
    """Return the plot that a choice asks for.

    Args:
        service: Knows the study.
        choice: Axes, kinds of points, limits.
        alive: Workers that train, for the words where there is nothing yet.
        report: What is known already of the front over the axes.
    """
    report = report or FrontReport(service, choice, choice.axes)
    cloud = Cloud.read(
        service,
        choice.study,
        on_front=[member.number for member in report.members],
        x=choice.x,
        y=choice.y,
        show=choice.show,
        fitting=report.within.fitting if choice.has_other_limits else None,
    )
    figure = _deep(report, cloud) if choice.z else _flat(report, cloud)
    empty = notes.why_empty(choice.study, figure, choice.x, choice.y, alive)
    known = report.within
    if empty and choice.has_other_limits:
        empty = "No trained network keeps these limits: loosen one of them."
    elif empty and known.known and not known.fitting.any():
        empty = (
            f"None of {known.known:,} trained networks keeps all limits: see what another limit would leave."
        )
    caption = (notes.pareto_caption(figure, cloud.hidden, choice.x), _ties(report))
    return {"figure": figure, "message": empty, "caption": " ".join(filter(None, caption))}


def _flat(report: FrontReport, cloud: Cloud) -> Figure:
    choice = report.choice
    x, y = choice.x, choice.y
    members = report.members
    front = bare_front(choice.study.study, members)
    figure = pareto(limited(choice), front, cloud, x=x, y=y, show=choice.show, tied=report.tied)
    layers = [front_layers.confirmed(members, x, y)]
    if report.random_front and "random" in choice.show:
        layers.append(front_layers.random_arm(report.random_front, x, y))
    # The front comes last, so that nothing lies over it.
    figure["data"][-1:-1] = [layer for layer in layers if layer]
    figure["layout"]["annotations"] += front_layers.picks(figure, members, pick_names(report), x, y)
    return figure


def _deep(report: FrontReport, cloud: Cloud) -> Figure:
    choice = report.choice
    assert choice.z
    # Upwards is what is gained.
    axes = (choice.x, choice.z, choice.y)
    return front_layers.deep(
        report.members, cloud, axes, show=choice.show, tied=report.tied, limits=choice.limits
    )


def limited(choice: FrontChoice) -> StudyView:
    """Return the study as if it had the limits of the choice."""
    if not choice.has_other_limits:
        return choice.study
    spec = choice.study.spec
    changed = {
        name: Constraint(max=bound)
        for name, bound in choice.limits.items()
        if name not in spec.constraints or spec.constraints[name].max != bound
    }
    kept = {}
    for name, limit in spec.constraints.items():
        if name in choice.limits or name not in own_limits(spec):
            kept[name] = limit
        elif limit.min is not None:
            # Of a limit that is to be none its other bound stays.
            kept[name] = limit.model_copy(update={"max": None})
    constraints = {**kept, **changed}
    return choice.study.model_copy(update={"spec": spec.model_copy(update={"constraints": constraints})})


def _ties(report: FrontReport) -> str:
    """How ties are found, where there are any."""
    count = len(report.tied)
    if not count:
        return ""
    kinds = {METRICS[name].kind for name in report.metrics}
    qualities = [short_label(name).lower() for name in report.metrics if METRICS[name].kind == "quality"]
    sources = []
    if qualities:
        sources.append(
            f"√(p(1−p)/n) of {' and '.join(qualities)} over some {report.examples:,} validation examples"
            " (or the deviation over seeds, where confirmed and larger)"
        )
    if "latency" in kinds:
        sources.append(f"the interval of the {label('latency_ms').lower()}")
    noise = " and ".join(sources) or "1 % of a cost"
    verb = "is" if count == 1 else "are"
    return (
        f"{count} of the front (diamonds) {verb} tied: no better than another point beyond noise at 95 %,"
        f" by {noise}; costs within 1 % count as equal."
    )
