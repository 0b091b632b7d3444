"""The pages of one study beside its front: each under the same frame, drawn whole on the server."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard import contents, trial_table
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.service import Service
from nas_service.views import StudyView

router = APIRouter(prefix="/studies/{study_id}", route_class=PageRoute, include_in_schema=False)

# The last part of each page's address, and its name; the first is the study's own page.
TABS = (("", "Front"), ("trials", "Trials"), ("settings", "Settings"))


def frame(service: Service, study: StudyView, tab: str) -> dict[str, Any]:
    """Return what `study_base.html` shows around the page of a tab."""
    return {"page": "study", "tab": tab, "tabs": TABS, **contents.status(service, study)}


@router.get("/trials")
def trials(
    service: TheService,
    study_id: Id,
    state: str | None = None,
    order: str | None = None,
    conditions: Annotated[str | None, Query(alias="filter")] = None,
    page_token: str | None = None,
) -> Response:
    study = service.study(study_id)
    choice = trial_table.Choice.read(state, order, conditions)
    listed = trial_table.contents(service, study, choice, page_token)
    return render("study_trials.html", **frame(service, study, "trials") | listed)


@router.get("/settings")
def settings(service: TheService, study_id: Id) -> Response:
    study = service.study(study_id)
    return render("study_settings.html", **frame(service, study, "settings"))
