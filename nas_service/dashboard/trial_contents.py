"""What the page of one trial shows beside what the panel of a study shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from nas_service.dashboard import contents
from nas_service.dashboard.contents import Content
from nas_service.dashboard.figures import default_axes
from nas_service.dashboard.trial_exports import trained_anew
from nas_service.dashboard.trial_words import beside_the_front, slack, why_it_ended
from nas_service.datasets.pictures import Picture, read_pictures
from nas_service.errors import InvalidInput, NotFound, ServiceError
from nas_service.evaluation import Misclassified
from nas_service.measurements import Measurement, StoredMeasurement
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.views import EvaluationView, FrontView, TrialView
from search_spaces import Architecture
from search_spaces.diagram import svg
from search_spaces.heat import HeatFigure
from search_spaces.parts import Part, parts

# How a diagram may be coloured, by what the address says.
HEATS: dict[str, tuple[str, HeatFigure | None]] = {
    "macs": ("MACs", "macs"),
    "params": ("Parameters", "params"),
    "kernel": ("Kernel size", None),
}
MISTAKES_ON_A_PAGE = 16


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of the network, and what its branch adds where that was measured."""

    part: Part
    # Points of accuracy that are lost without it.
    lost: float | None


def page(service: Service, view: TrialView, heat: str) -> Content:
    """Return all of the page that does not change while one looks, with the parts that do."""
    architecture = Architecture.from_dict(view.architecture)
    shown = heat if heat in HEATS else "macs"
    evaluation, why_none = known_evaluation(service, view)
    front = service.front(view.study_id)
    return details(service, view) | {
        "diagram": svg(architecture, heat=HEATS[shown][1]),
        "heat": shown,
        "heats": {name: words for name, (words, _) in HEATS.items()},
        "parts": _part_rows(architecture, evaluation),
        "contributions": evaluation.contributions if evaluation else None,
        "evaluation": evaluation,
        "why_none": why_none,
        "trained_anew": trained_anew(service, view.id),
        "neighbours": front_neighbours(service.study(view.study_id).spec, front, view),
    }


def details(service: Service, view: TrialView) -> Content:
    """Return what is known of a trial beside its network: latencies, limits, timings, where it comes from."""
    content = contents.trial(service, view)
    spec = content["study"].spec
    for entry in content["limits"]:
        name = entry["metric"].name
        entry["slack"] = slack(name, spec.constraints[name], entry["violation"])
    return content | {"latencies": _latencies(view, service.latencies(view.id))}


def standing(service: Service, view: TrialView) -> Content:
    """Return in sentences why a trial ended as it did."""
    spec = service.study(view.study_id).spec
    epochs = max((point.epoch for point in service.curve(view.id)), default=0)
    places = service.rung_places(view.id)
    sentences = why_it_ended(view, spec, places, epochs)
    return {"sentences": [*sentences, beside_the_front(view, spec, service.front(view.study_id))]}


def known_evaluation(service: Service, view: TrialView) -> tuple[EvaluationView | None, str]:
    """Return a trial's evaluation, or in words why there is none to show."""
    try:
        return service.evaluation(view.id), ""
    except NotFound as error:
        return None, str(error).partition(": ")[2] or str(error)
    except ServiceError as error:
        return None, str(error)


def mistakes(service: Service, view: TrialView, pair: tuple[int, int] | None, number: int) -> Content:
    """Return a page of misclassified examples with their pictures.

    Args:
        service: Asked for the evaluation and the data set.
        view: The trial.
        pair: Only those of this true class that were taken for that one.
        number: Of the page, from 1.
    """
    evaluation, why_none = known_evaluation(service, view)
    chosen = (
        [m for m in evaluation.misclassified if pair in (None, (m.true, m.predicted))] if evaluation else []
    )
    start = MISTAKES_ON_A_PAGE * (number - 1)
    shown = chosen[start : start + MISTAKES_ON_A_PAGE]
    pictures, trouble = _pictures(service, view, shown)
    return {
        "trial": view,
        "evaluation": evaluation,
        "why_none": why_none,
        "pair": pair,
        "page_number": number,
        "pages": ceil(len(chosen) / MISTAKES_ON_A_PAGE),
        "chosen": len(chosen),
        "shown": [(mistake, pictures.get(mistake.index)) for mistake in shown],
        "trouble": trouble,
    }


def front_neighbours(spec: StudySpec, front: FrontView, view: TrialView) -> Content:
    """Return the members of the front beside a trial along what is paid: the cheaper and the dearer one."""
    across, _ = default_axes(spec)
    own = view.metrics.get(across)
    others = [member for member in front.front if member.trial != view.id and across in member.values]
    if own is None:
        return {}
    cheaper = [member for member in others if member.values[across] <= own]
    dearer = [member for member in others if member.values[across] > own]
    found: Content = {"across": across}
    if cheaper:
        found["previous"] = max(cheaper, key=lambda member: member.values[across])
    if dearer:
        found["next"] = min(dearer, key=lambda member: member.values[across])
    return found


def _part_rows(architecture: Architecture, evaluation: EvaluationView | None) -> list[PartRow]:
    known = evaluation.contributions if evaluation else None
    lost = {b.branch: known.accuracy - b.accuracy_without for b in known.branches} if known else {}
    return [PartRow(part, lost.get(part.name)) for part in parts(architecture)]


def _latencies(view: TrialView, stored: Sequence[StoredMeasurement]) -> list[tuple[Measurement, Any]]:
    """Return each measurement with the time when it was stored; a prediction of the trial's own leads."""
    rows: list[tuple[Measurement, Any]] = [(each.measurement, each.created_at) for each in stored]
    if view.predicted and view.latency:
        rows.insert(0, (Measurement.model_validate(view.latency), None))
    return rows


def _pictures(
    service: Service, view: TrialView, shown: Sequence[Misclassified]
) -> tuple[dict[int, Picture], str]:
    if not shown:
        return {}, ""
    try:
        path = service.stores.datasets.path(service.study(view.study_id).dataset_sha256)
        found = read_pictures(path, "train", [mistake.index for mistake in shown])
    except (ServiceError, InvalidInput) as error:
        return {}, f"The data set's file cannot be read, so no picture is shown: {error}"
    return {picture.index: picture for picture in found}, ""
