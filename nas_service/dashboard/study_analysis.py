"""What the analysis page shows: gathered once a state of the study, and drawn by `analysis_figures`."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from nas_service import analysis
from nas_service.analysis import Spent
from nas_service.columns import ARMS, Columns
from nas_service.dashboard import analysis_figures, parallel
from nas_service.dashboard.contents import Content
from nas_service.dashboard.wording import label, short_label
from nas_service.details import Details
from nas_service.importance import TARGET_QUANTILE, Importances
from nas_service.metrics import METRICS, Goal
from nas_service.service import Service
from nas_service.studies import StudySpec
from nas_service.trials import Arm
from nas_service.views import StudyView

# Below this many fully trained networks importances say next to nothing, and below the second one little.
LEAST_TRIALS, ENOUGH_TRIALS = 10, 50
MOST_SLICES = 6
MOST_PARALLEL_PARAMS = 5
MOST_KEPT = 64

_Key = tuple[int, str, int, str]
_kept: WeakKeyDictionary[Service, OrderedDict[_Key, Importances]] = WeakKeyDictionary()
_lock = Lock()


def metrics_of(spec: StudySpec) -> list[str]:
    """The metrics that an analysis may be of: the study's own first."""
    names = [objective.metric for objective in spec.objectives]
    return list(dict.fromkeys([*names, *spec.constraints, "accuracy", "params", "macs"]))


def importances(service: Service, study: StudyView, metric: str) -> Importances:
    """Importances for a metric, computed once a state of the study."""
    key = (study.study, study.created_at.isoformat(), study.sequence, metric)
    with _lock:
        kept = _kept.setdefault(service, OrderedDict())
        if key in kept:
            return kept[key]
    goal = _goal(study.spec, metric)
    found = service.analysed(
        study.study, lambda columns, details: analysis.parameter_importances(columns, details, metric, goal)
    )
    with _lock:
        kept[key] = found
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
    return found


def growth_document(service: Service, study: StudyView, over: Spent) -> dict[str, Any]:
    """The hypervolume against what was spent, of all trials and, with a random arm, of each arm alone."""
    front = service.front(study.study)
    objectives, reference = study.spec.objectives, front.reference_point

    def grow(columns: Columns, details: Details) -> dict[str, analysis.Growing]:
        has_random = bool((columns.arms == ARMS.index("random")).any())
        arms: dict[str, Arm | None] = {"all": None}
        if has_random:
            arms |= {"search": "search", "random": "random"}
        return {
            name: analysis.hypervolume_growth(columns, details, objectives, reference, over, arm)
            for name, arm in arms.items()
        }

    grown = service.analysed(study.study, grow)
    has_points = bool(front.hypervolume_history)
    return {
        "figure": analysis_figures.growth(grown, over),
        "message": None if has_points else "Appears with the first point of the front.",
        "caption": _growth_caption(grown) if has_points else "",
    }


def _growth_caption(grown: dict[str, analysis.Growing]) -> str:
    whole = grown["all"]
    if "random" not in grown:
        return f"{whole.volume[-1]:.4g} so far."
    random, search = grown["random"].volume, grown["search"].volume
    return (
        f"{whole.volume[-1]:.4g} so far; search alone {search[-1] if search else 0:.4g}, "
        f"random arm alone {random[-1] if random else 0:.4g}. An arm has fewer trials than both together."
    )


def importance_document(service: Service, study: StudyView, metric: str) -> dict[str, Any]:
    """The parameters that matter most for a metric."""
    found = importances(service, study, metric)
    message = _why_unimportant(found, metric)
    share = f"best {TARGET_QUANTILE:.0%} by {label(metric).lower()} ({found.best} of {found.trials})"
    rough = f" A rough guide below {ENOUGH_TRIALS} trials." if found.trials < ENOUGH_TRIALS else ""
    return {
        "figure": analysis_figures.importance_bars(found),
        "message": message,
        "caption": "" if message else f"PED-ANOVA: what sets the {share} apart from the rest.{rough}",
    }


def slice_document(service: Service, study: StudyView, metric: str, columns_wide: int) -> dict[str, Any]:
    """A metric against each of the parameters that matter most for it."""
    found = importances(service, study, metric)
    # Why they are not known stands beside the importances.
    waits = "Drawn for the parameters that matter most, once they are known."
    message = waits if _why_unimportant(found, metric) else None
    names = list(found.values)[:MOST_SLICES]

    def draw(columns: Columns, details: Details) -> dict[str, Any]:
        mask = columns.are("complete") & ~columns.excluded
        params = details.params.among(mask)
        numbers = np.flatnonzero(mask)
        trials = np.stack([columns.ids[numbers], numbers], axis=1)
        chosen = {name: params[name] for name in names if name in params}
        values = columns.values(metric)[numbers]
        return analysis_figures.slices(chosen, values, trials, metric, columns_wide)

    return {
        "figure": service.analysed(study.study, draw),
        "message": message,
        "caption": "" if message else "Each point is a fully trained network; bars are medians.",
    }


def parallel_document(service: Service, study: StudyView, metric: str) -> dict[str, Any]:
    """What the parallel coordinates draw, the metric that colours the lines first."""
    found = importances(service, study, metric)
    names = list(dict.fromkeys([metric, *metrics_of(study.spec)]))[:4]
    on_front = [member.number for member in service.front(study.study).front]
    params = [name for name, value in found.values.items() if value > 0][:MOST_PARALLEL_PARAMS]
    document = service.analysed(
        study.study,
        lambda columns, details: parallel.document(columns, details, names, params, on_front),
    )
    return {
        **document,
        "metric": metric,
        "message": None if document["lines"] else "Appears with the first fully trained network.",
    }


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One rung as the page says it."""

    audit: analysis.RungAudit
    verdict: str


def facts(service: Service, study: StudyView) -> Content:
    """What was saved, and the audit of early stopping."""
    epochs, trials = study.spec.training.epochs, study.trials

    def gather(columns: Columns, details: Details) -> tuple[analysis.Savings, list[analysis.RungAudit]]:
        saved = analysis.savings(columns, details, epochs, trials.repeats, trials.forbidden)
        return saved, analysis.audit(columns, details, epochs)

    saved, rungs = service.analysed(study.study, gather)
    return {"study": study, "saved": saved, "audit": [AuditRow(rung, _verdict(rung)) for rung in rungs]}


def _verdict(rung: analysis.RungAudit) -> str:
    """How far the ranking at a rung can be believed, in words."""
    if rung.foresight is None:
        return "too few trained to the end to judge"
    if rung.foresight >= 0.7:
        return "ranks here mostly hold to the end"
    if rung.foresight >= 0.4:
        return "ranks here hold roughly"
    return "ranks here say little about the end: stop later, or less"


def _why_unimportant(found: Importances, metric: str) -> str | None:
    if found.trials < LEAST_TRIALS:
        return (
            f"Needs {LEAST_TRIALS} fully trained networks with {short_label(metric).lower()}; "
            f"there {'is' if found.trials == 1 else 'are'} {found.trials}."
        )
    if not any(found.values.values()):
        return f"No parameter sets the best apart by {label(metric).lower()}: choose another metric."
    return None


def _goal(spec: StudySpec, metric: str) -> Goal:
    asked = {objective.metric: objective.direction for objective in spec.objectives}
    return asked.get(metric, METRICS[metric].goal)
