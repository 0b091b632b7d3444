"""The page that launches a study: empty, as a copy of another one, or around a trial."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from nas_service.api.dependencies import TheService
from nas_service.dashboard import contents, launch_form
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.errors import Conflict
from nas_service.row_ids import MAX_ID
from nas_service.service import Service
from search_spaces import neighbourhood

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/studies/new")
def new_study(
    service: TheService,
    family: str = "multi_scale",
    dataset: str = "",
    clone: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    around: Annotated[int | None, Query(ge=1, le=MAX_ID, description="A trial.")] = None,
) -> Response:
    given, title = launch_form.empty_spec(dataset, family), "New study"
    if clone is not None:
        study = service.study(clone)
        given, title = launch_form.spec_of(study.spec, f"{study.name} again"), f"New study, as “{study.name}”"
    if around is not None:
        given, title = _around(service, around)
    form = launch_form.contents(service, given, title=title, alive=contents.alive_workers(service))
    return render("new_study.html", page="new", **form)


def _around(service: Service, trial_id: int) -> tuple[dict[str, Any], str]:
    """Return a trial's study with its space narrowed to what is near the trial's architecture."""
    trial = service.trial(trial_id)
    study = service.study(trial.study_id)
    if not trial.params:
        raise Conflict(
            f"trial {trial.number} was given by hand: it holds no choices to narrow a space around"
        )
    space = neighbourhood.around(study.spec.space, trial.params)
    given = launch_form.spec_of(study.spec, f"{study.name} around #{trial.number}")
    return {**given, "space": space}, f"New study around trial #{trial.number}"
