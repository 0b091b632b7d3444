"""The learning curves of some trials of a study: those asked for, else the best of the front."""

import re
from collections.abc import Sequence
from typing import Any

from nas_service.dashboard import curve_figures
from nas_service.dashboard.contents import by_first_objective
from nas_service.dashboard.curve_figures import FIELDS, MOST_CURVES, Curve, CurveField
from nas_service.service import Service
from nas_service.views import StudyView, TrialSummary

DEFAULT_CURVES = 6


def chosen(
    service: Service, study: StudyView, ids: Sequence[int], numbers: str
) -> tuple[list[TrialSummary], list[int]]:
    """The trials to draw, and the numbers that were asked for and are none.

    Args:
        service: Knows the trials.
        study: Whose trials.
        ids: Trial ids, as the table of trials hands over.
        numbers: Trial numbers as a person writes them.
    """
    asked = list(dict.fromkeys(int(number) for number in re.findall(r"[0-9]{1,9}", numbers)))
    if ids:
        known = {trial: number for number, trial in enumerate(service.columns(study.study).ids.tolist())}
        asked = list(dict.fromkeys([*(known[trial] for trial in ids if trial in known), *asked]))
    if not asked and not numbers.strip():
        members = by_first_objective(study.spec, service.front(study.study).front)
        asked = [member.number for member in members[:DEFAULT_CURVES]]
    trials = service.trials_of(study.study, asked[:MOST_CURVES])
    return trials, [number for number in asked if number not in {trial.number for trial in trials}]


def document(
    service: Service, study: StudyView, trials: Sequence[TrialSummary], field: str
) -> dict[str, Any]:
    """The plot of their curves."""
    shown: CurveField = next((name for name in FIELDS if name == field), "accuracy")
    points = service.curves([trial.id for trial in trials])
    curves = [Curve(trial, points.get(trial.id, [])) for trial in trials]
    drawn = [curve for curve in curves if curve.points]
    rungs = study.spec.training.rungs
    return {
        "figure": curve_figures.learning_curves(drawn, rungs, shown),
        "message": None if drawn else _why_none(trials),
        "caption": _caption(curves, rungs) if drawn else "",
    }


def _caption(curves: Sequence[Curve], rungs: Sequence[int]) -> str:
    untrained = [f"#{curve.trial.number}" for curve in curves if not curve.points]
    text = "Dotted lines are rungs, where a candidate may be stopped early." if rungs else ""
    return f"{text} Never trained: {', '.join(untrained)}.".strip() if untrained else text


def _why_none(trials: Sequence[TrialSummary]) -> str:
    if trials:
        return "None of these was trained: they broke a limit, or wait."
    return "Nothing on the front yet. Choose trials by their numbers above."
