"""The parts of pages that change while one looks: the same templates as in the page, fetched again."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import (
    contents,
    front_choice,
    front_contents,
    study_analysis,
    study_log,
    trial_table,
)
from nas_service.dashboard.front_choice import TheChoice
from nas_service.dashboard.rendering import PageRoute, render

router = APIRouter(prefix="/fragments", route_class=PageRoute, include_in_schema=False)


@router.get("/studies")
def studies(
    service: TheService, page_token: str | None = None, state: str | None = None, name: str | None = None
) -> Response:
    return render("parts/studies.html", **contents.studies(service, page_token, state, name))


@router.get("/studies/{study_id}/status")
def status(service: TheService, study_id: Id) -> Response:
    return render("parts/status.html", **contents.status(service, service.study(study_id)))


@router.get("/studies/{study_id}/front")
def front(service: TheService, choice: TheChoice) -> Response:
    return render("parts/front.html", **front_contents.table(service, choice))


@router.get("/studies/{study_id}/limits")
def limits(service: TheService, choice: TheChoice) -> Response:
    return render("parts/limits.html", **front_contents.limits(front_contents.flat_report(service, choice)))


@router.get("/studies/{study_id}/advice")
def advice(service: TheService, choice: TheChoice) -> Response:
    return render("parts/advice.html", **front_contents.advice(front_contents.flat_report(service, choice)))


@router.get("/studies/{study_id}/walk")
def walk(service: TheService, choice: TheChoice) -> Response:
    return render("parts/walk.html", **front_contents.walk(service, choice))


@router.get("/studies/{study_id}/trials")
def trials(
    service: TheService,
    study_id: Id,
    state: str | None = None,
    order: str | None = None,
    conditions: Annotated[str | None, Query(alias="filter")] = None,
    page_token: str | None = None,
) -> Response:
    choice = trial_table.Choice.read(state, order, conditions)
    listed = trial_table.contents(service, service.study(study_id), choice, page_token)
    return render("parts/trials.html", **listed)


@router.get("/studies/{study_id}/facts")
def facts(service: TheService, study_id: Id) -> Response:
    return render("parts/facts.html", **study_analysis.facts(service, service.study(study_id)))


@router.get("/studies/{study_id}/log")
def log(
    service: TheService, study_id: Id, kind: str | None = None, page_token: str | None = None
) -> Response:
    return render("parts/log.html", **study_log.contents(service, service.study(study_id), kind, page_token))


@router.get("/trials/{trial_id}/panel")
def panel(service: TheService, trial_id: Id, limit: Annotated[list[str] | None, Query()] = None) -> Response:
    trial = service.trial(trial_id)
    choice = front_choice.chosen(service, trial.study_id, limit=limit)
    return render("parts/panel.html", panel=front_contents.panel(choice, trial))


@router.get("/datasets")
def datasets(service: TheService) -> Response:
    return render("parts/datasets.html", datasets=service.datasets())
