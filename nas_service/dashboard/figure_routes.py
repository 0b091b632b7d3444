"""Figures as small JSON documents: `figure`, a `message` where there is nothing to draw, a `caption`."""

from typing import Any

from fastapi import APIRouter, Request, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import contents, figures, notes, pareto_document
from nas_service.dashboard.figure_answer import answer
from nas_service.dashboard.front_choice import TheChoice
from nas_service.dashboard.wording import short_label, value_text
from nas_service.service import Service
from nas_service.views import StudyView

router = APIRouter(prefix="/figures", include_in_schema=False)

Document = dict[str, Any]


@router.get("/studies/{study_id}/pareto.json")
def pareto(request: Request, service: TheService, choice: TheChoice) -> Response:
    alive = contents.alive_workers(service)
    return answer(
        request,
        lambda: pareto_document.document(service, choice, alive),
        state=f"{state_of(choice.study)}/{alive}/{choice.address()}",
        # What a trial in training has reached is told by no state of the study.
        is_shared="running" not in choice.show,
    )


@router.get("/studies/{study_id}/hypervolume.json")
def hypervolume(request: Request, service: TheService, study_id: Id) -> Response:
    study = service.study(study_id)
    return answer(request, lambda: _hypervolume(service, study_id), state=state_of(study), is_shared=True)


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
