"""The pages. Each is drawn whole on the server; what changes while one looks is a fragment of its own."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import RedirectResponse

from nas_service.api.dependencies import MAX_ID, Id, TheService
from nas_service.dashboard import contents, study_pages
from nas_service.dashboard.figures import default_axes
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.views import StudyView

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
def index() -> Response:
    return RedirectResponse("/studies")


@router.get("/studies")
def studies(service: TheService, page_token: str | None = None) -> Response:
    return render("studies.html", page="studies", **contents.studies(service, page_token))


@router.get("/studies/{study_id}")
def study(
    service: TheService,
    study_id: Id,
    x: str | None = None,
    y: str | None = None,
    show: str = "dominated,infeasible",
    trial: Annotated[int | None, Query(ge=0, le=MAX_ID)] = None,
) -> Response:
    view = service.study(study_id)
    x, y = chosen_axes(view, x, y)
    return render(
        "study.html",
        metrics=list(METRICS.values()),
        x=x,
        y=y,
        show=show.split(","),
        panel=_panel(service, view, trial),
        **study_pages.frame(service, view, "") | contents.front(service, view),
    )


@router.get("/trials/{trial_id}")
def trial(service: TheService, trial_id: Id) -> Response:
    view = service.trial(trial_id)
    return render("trial.html", page="trial", **contents.trial(service, view))


@router.get("/studies/{study_id}/trials/{number}")
def trial_by_number(
    service: TheService, study_id: Id, number: Annotated[int, Path(ge=0, le=MAX_ID)]
) -> Response:
    return RedirectResponse(f"/trials/{service.trial_by_number(study_id, number).id}")


@router.get("/workers")
def workers(service: TheService) -> Response:
    return render("workers.html", page="workers", **contents.workers(service))


def chosen_axes(study: StudyView, x: str | None, y: str | None) -> tuple[str, str]:
    """The asked-for metrics where they exist and differ, else the study's own."""
    default_x, default_y = default_axes(study.spec)
    x = x if x in METRICS else default_x
    y = y if y in METRICS else default_y
    return (x, y) if x != y else (default_x, default_y)


def _panel(service: Service, study: StudyView, number: int | None) -> dict[str, Any] | None:
    """The trial to show beside the plot: the one in the address, else the front's first."""
    if number is not None:
        return contents.trial(service, service.trial_by_number(study.study, number))
    best = contents.best_member(study, service.front(study.study))
    return contents.trial(service, service.trial(best.trial)) if best else None
