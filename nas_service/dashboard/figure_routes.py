"""Figures as small JSON documents, with what a person reads under them."""

from typing import Any

from fastapi import APIRouter

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import contents, figures, notes
from nas_service.dashboard.history import all_trials
from nas_service.dashboard.pages import chosen_axes
from nas_service.dashboard.wording import short_label, value_text

router = APIRouter(prefix="/figures", include_in_schema=False)

Answer = dict[str, Any]


@router.get("/studies/{study_id}/pareto.json")
def pareto(
    service: TheService,
    study_id: Id,
    x: str | None = None,
    y: str | None = None,
    show: str = "dominated,infeasible",
) -> Answer:
    study = service.study(study_id)
    x, y = chosen_axes(study, x, y)
    front = service.front(study_id, (x, y))
    trials = all_trials(service, study)
    figure = figures.pareto(study, front, trials, x=x, y=y, show=frozenset(show.split(",")))
    return {
        "figure": figure,
        "message": notes.why_empty(study, figure, x, y, contents.alive_workers(service)),
        "caption": notes.pareto_caption(figure, trials, x, y),
    }


@router.get("/studies/{study_id}/hypervolume.json")
def hypervolume(service: TheService, study_id: Id) -> Answer:
    front = service.front(study_id)
    reference = ", ".join(
        f"{short_label(objective['metric']).lower()} {value_text(objective['metric'], value)}"
        for objective, value in zip(front.objectives, front.reference_point, strict=True)
    )
    has_points = bool(front.hypervolume_history)
    return {
        "figure": figures.hypervolume(front),
        "message": None if has_points else "Appears with the first point of the front.",
        "caption": f"{front.hypervolume:.4g}, measured from {reference}." if has_points else "",
    }


@router.get("/trials/{trial_id}/curve.json")
def curve(service: TheService, trial_id: Id) -> Answer:
    trial = service.trial(trial_id)
    points = service.curve(trial_id)
    rungs = service.study(trial.study_id).spec.training.rungs
    return {
        "figure": figures.learning_curve(points, rungs),
        "message": None if points else notes.why_no_curve(trial),
        "caption": "Dotted lines are rungs, where a candidate may be stopped early."
        if points and rungs
        else "",
    }
