"""The part of a trial's page that lists its exports, as they come along."""

from typing import Any

from fastapi import APIRouter, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.service import Service

router = APIRouter(prefix="/fragments", route_class=PageRoute, include_in_schema=False)
# Older ones are listed by `nas job list`.
SHOWN = 5


@router.get("/trials/{trial_id}/exports")
def exports(service: TheService, trial_id: Id) -> Response:
    return render("parts/exports.html", **contents(service, trial_id))


def contents(service: Service, trial_id: int) -> dict[str, Any]:
    """Return the newest exports of a trial, with the size of each complete one's files."""
    service.trial(trial_id)
    return {"exports": service.jobs(trial=trial_id, kind="export", page_size=SHOWN).items}
