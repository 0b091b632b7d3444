"""The figures of a study's further pages, as JSON documents like those of `figure_routes`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from nas_service.analysis import Spent
from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import study_analysis, study_curves, study_log
from nas_service.dashboard.figure_answer import answer
from nas_service.dashboard.figure_routes import state_of
from nas_service.dashboard.study_pages import MAX_TEXT, ManyIds
from nas_service.views import StudyView

router = APIRouter(prefix="/figures/studies/{study_id}", include_in_schema=False)


@router.get("/growth.json")
def growth(request: Request, service: TheService, study_id: Id, over: Spent = "trials") -> Response:
    study = service.study(study_id)
    state = f"{state_of(study)}/{over}"
    return answer(request, lambda: study_analysis.growth_document(service, study, over), state=state)


@router.get("/importance.json")
def importance(request: Request, service: TheService, study_id: Id, metric: str = "") -> Response:
    study = service.study(study_id)
    name = _metric(study, metric)
    state = f"{state_of(study)}/{name}"
    return answer(request, lambda: study_analysis.importance_document(service, study, name), state=state)


@router.get("/slices.json")
def slices(
    request: Request,
    service: TheService,
    study_id: Id,
    metric: str = "",
    columns: Annotated[int, Query(ge=1, le=4)] = 3,
) -> Response:
    study = service.study(study_id)
    name = _metric(study, metric)
    state = f"{state_of(study)}/{name}/{columns}"
    return answer(request, lambda: study_analysis.slice_document(service, study, name, columns), state=state)


@router.get("/parallel.json")
def parallel(request: Request, service: TheService, study_id: Id, metric: str = "") -> Response:
    study = service.study(study_id)
    name = _metric(study, metric)
    state = f"{state_of(study)}/{name}"
    return answer(request, lambda: study_analysis.parallel_document(service, study, name), state=state)


@router.get("/curves.json")
def curves(
    request: Request,
    service: TheService,
    study_id: Id,
    t: ManyIds = None,
    trials: str = "",
    field: str = "accuracy",
) -> Response:
    study = service.study(study_id)
    chosen, _ = study_curves.chosen(service, study, t or [], trials[:MAX_TEXT])
    # An epoch changes a curve and not the study: nothing tells whether the browser's copy is the newest.
    return answer(request, lambda: study_curves.document(service, study, chosen, field))


@router.get("/timeline.json")
def timeline(request: Request, service: TheService, study_id: Id) -> Response:
    study = service.study(study_id)
    # What runs grows while nothing changes.
    state = None if study.trials.running else state_of(study)
    return answer(request, lambda: study_log.timeline_document(service, study), state=state)


def _metric(study: StudyView, asked: str) -> str:
    names = study_analysis.metrics_of(study.spec)
    return asked if asked in names else names[0]
