"""The pages. Each is drawn whole on the server; what changes while one looks is a fragment of its own."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from nas_service.api.dependencies import TheService
from nas_service.dashboard import contents, front_contents, pareto_document, study_pages
from nas_service.dashboard.front_choice import FrontChoice, TheChoice
from nas_service.dashboard.front_report import FrontReport
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.dashboard.still import still
from nas_service.metrics import METRICS
from nas_service.row_ids import MAX_ID
from nas_service.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
def index() -> Response:
    return RedirectResponse("/studies")


@router.get("/studies")
def studies(
    service: TheService, page_token: str | None = None, state: str | None = None, name: str | None = None
) -> Response:
    return render("studies.html", page="studies", **contents.studies(service, page_token, state, name))


@router.get("/studies/{study_id}")
def study(
    service: TheService,
    choice: TheChoice,
    trial: Annotated[int | None, Query(ge=0, le=MAX_ID)] = None,
) -> Response:
    report = front_contents.flat_report(service, choice)
    return render(
        "study.html",
        metrics=list(METRICS.values()),
        panel=_panel(service, choice, trial),
        still=_still(report),
        **study_pages.frame(service, choice.study, "")
        | front_contents.table(service, choice)
        | front_contents.limits(report)
        | front_contents.advice(report),
    )


def _still(report: FrontReport) -> Markup | None:
    """The plot as a picture, to be seen before plotly.js is there; None where there is nothing to draw."""
    if report.choice.z:
        return None
    shown = pareto_document.document(report.service, report.choice, alive=0, report=report)
    return None if shown["message"] else Markup(still(shown["figure"], "The Pareto front"))


def _panel(service: Service, choice: FrontChoice, number: int | None) -> dict[str, Any] | None:
    """The trial to show beside the plot: the one in the address, else the front's first."""
    study = choice.study
    if number is not None:
        return front_contents.panel(choice, service.trial_by_number(study.study, number))
    best = contents.best_member(study, service.front(study.study))
    return front_contents.panel(choice, service.trial(best.trial)) if best else None
