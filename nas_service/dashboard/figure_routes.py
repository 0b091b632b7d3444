"""Figures as small JSON documents: `figure`, a `message` where there is nothing to draw, a `caption`."""

from typing import Any

from fastapi import APIRouter, Request, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import contents, figures, notes
from nas_service.dashboard.cloud import Cloud
from nas_service.dashboard.figure_answer import answer
from nas_service.dashboard.pages import chosen_axes
from nas_service.dashboard.wording import short_label, value_text
from nas_service.service import Service
from nas_service.views import StudyView

router = APIRouter(prefix="/figures", include_in_schema=False)

Document = dict[str, Any]


@router.get("/studies/{study_id}/pareto.json")
def pareto(
    request: Request,
    service: TheService,
    study_id: Id,
    x: str | None = None,
    y: str | None = None,
    show: str = "dominated,infeasible",
) -> Response:
    study = service.study(study_id)
    alive = contents.alive_workers(service)
    x, y = chosen_axes(study, x, y)
    shown = frozenset(show.split(","))
    return answer(
        request,
        lambda: _pareto(service, study, alive, (x, y), shown),
        state=f"{state_of(study)}/{alive}/{x}/{y}/{sorted(shown)}",
    )


@router.get("/studies/{study_id}/hypervolume.json")
def hypervolume(request: Request, service: TheService, study_id: Id) -> Response:
    study = service.study(study_id)
    return answer(request, lambda: _hypervolume(service, study_id), state=state_of(study))


@router.get("/trials/{trial_id}/curve.json")
def curve(request: Request, service: TheService, trial_id: Id) -> Response:
    trial = service.trial(trial_id)
    points = service.curve(trial_id)
    rungs = service.study(trial.study_id).spec.training.rungs
    note = "Dotted lines are rungs, where a candidate may be stopped early."
    document = {
        "figure": figures.learning_curve(points, rungs),
        "message": None if points else notes.why_no_curve(trial),
        "caption": note if points and rungs else "",
    }
    return answer(request, lambda: document)


def _pareto(
    service: Service, study: StudyView, alive: int, axes: tuple[str, str], show: frozenset[str]
) -> Document:
    x, y = axes
    objectives = {objective.metric for objective in study.spec.objectives}
    # Over the objectives themselves the front is most likely known already.
    front = service.front(study.study, None if objectives == set(axes) else axes)
    on_front = [member.number for member in front.front]
    cloud = Cloud.read(service, study, on_front=on_front, x=x, y=y, show=show)
    figure = figures.pareto(study, front, cloud, x=x, y=y, show=show)
    return {
        "figure": figure,
        "message": notes.why_empty(study, figure, x, y, alive),
        "caption": notes.pareto_caption(figure, cloud.hidden, x),
    }


def _hypervolume(service: Service, study_id: int) -> Document:
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


def state_of(study: StudyView) -> str:
    """What changes whenever a figure of the study may."""
    return f"{study.study}/{study.created_at.isoformat()}/{study.sequence}/{study.state}/{study.reason}"
