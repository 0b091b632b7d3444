"""The page of one trial, its parts that change or come later, and its confusion matrix."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import contents, trial_contents, trial_figures
from nas_service.dashboard.figure_answer import answer, is_known, tag_of
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.evaluation import KIND, MOST_MISCLASSIFIED
from nas_service.row_ids import MAX_ID

router = APIRouter(route_class=PageRoute, include_in_schema=False)
figures = APIRouter(prefix="/figures", include_in_schema=False)

ClassNumber = Annotated[int | None, Query(ge=0, le=MAX_ID)]
PageNumber = Annotated[int, Query(ge=1, le=MOST_MISCLASSIFIED)]


@router.get("/trials/{trial_id}")
def trial(
    service: TheService,
    trial_id: Id,
    heat: str = "macs",
    true: ClassNumber = None,
    predicted: ClassNumber = None,
    mistakes: PageNumber = 1,
) -> Response:
    view = service.trial(trial_id)
    pair = None if true is None or predicted is None else (true, predicted)
    content = trial_contents.page(service, view, heat)
    return render("trial.html", page="trial", pair=pair, page_number=mistakes, **content)


@router.get("/studies/{study_id}/trials/{number}")
def trial_by_number(
    service: TheService, study_id: Id, number: Annotated[int, Path(ge=0, le=MAX_ID)]
) -> Response:
    return RedirectResponse(f"/trials/{service.trial_by_number(study_id, number).id}")


@router.get("/fragments/trials/{trial_id}/results")
def results(service: TheService, trial_id: Id) -> Response:
    return render("parts/results.html", **contents.trial(service, service.trial(trial_id)))


@router.get("/fragments/trials/{trial_id}/standing")
def standing(service: TheService, trial_id: Id) -> Response:
    return render("parts/standing.html", **trial_contents.standing(service, service.trial(trial_id)))


@router.get("/fragments/trials/{trial_id}/details")
def details(service: TheService, trial_id: Id) -> Response:
    return render("parts/details.html", **trial_contents.details(service, service.trial(trial_id)))


@router.get("/fragments/trials/{trial_id}/classes")
def classes(service: TheService, trial_id: Id) -> Response:
    view = service.trial(trial_id)
    evaluation, why_none = trial_contents.known_evaluation(service, view)
    return render("parts/classes.html", trial=view, evaluation=evaluation, why_none=why_none)


@router.get("/fragments/trials/{trial_id}/mistakes")
def mistakes(
    request: Request,
    service: TheService,
    trial_id: Id,
    true: ClassNumber = None,
    predicted: ClassNumber = None,
    page: PageNumber = 1,
) -> Response:
    view = service.trial(trial_id)
    pair = None if true is None or predicted is None else (true, predicted)
    # Pictures are drawn once for each reader: a browser keeps them, and asks whether they are still right.
    tag = tag_of(f"{trial_id}/{view.state}/{view.artifacts.get(KIND)}/{pair}/{page}")
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    response = render("parts/mistakes.html", **trial_contents.mistakes(service, view, pair, page))
    response.headers.update(headers)
    return response


@figures.get("/trials/{trial_id}/confusion.json")
def confusion(request: Request, service: TheService, trial_id: Id) -> Response:
    view = service.trial(trial_id)
    evaluation, why_none = trial_contents.known_evaluation(service, view)
    has_matrix = evaluation is not None and evaluation.confusion is not None
    document = {
        "figure": trial_figures.confusion(evaluation) if evaluation and has_matrix else None,
        "message": None if has_matrix else _no_matrix(why_none),
        "caption": "Colour: the share of the true class, its square root." if has_matrix else "",
    }
    return answer(request, lambda: document)


def _no_matrix(why_none: str) -> str:
    return f"No confusion matrix: {why_none or 'there are too many classes for one; see the pairs'}."
