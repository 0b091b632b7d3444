"""The page that launches a study: empty, as a copy of another one, or around a trial."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from nas_service.api.dependencies import MAX_ID, TheService
from nas_service.dashboard import contents, launch_form
from nas_service.dashboard.rendering import PageRoute, render

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/studies/new")
def new_study(
    service: TheService,
    family: str = "multi_scale",
    dataset: str = "",
    clone: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    given, title = launch_form.empty_spec(dataset, family), "New study"
    if clone is not None:
        study = service.study(clone)
        given, title = launch_form.spec_of(study.spec, f"{study.name} again"), f"New study, as {study.name}"
    form = launch_form.contents(service, given, title=title, alive=contents.alive_workers(service))
    return render("new_study.html", page="new", **form)
