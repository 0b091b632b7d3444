"""The part of a trial's page that lists its exports, as they come along."""

from typing import Any

from fastapi import APIRouter, Response

from nas_service.api.dependencies import Id, TheService
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.dashboard.wording import value_text
from nas_service.jobs import JobKind
from nas_service.service import Service
from nas_service.views import JobView

router = APIRouter(prefix="/fragments", route_class=PageRoute, include_in_schema=False)
# Older ones are listed by `nas job list`.
SHOWN = 5


@router.get("/trials/{trial_id}/exports")
def exports(service: TheService, trial_id: Id) -> Response:
    return render("parts/exports.html", **contents(service, trial_id))


def trained_anew(service: Service, trial_id: int) -> dict[int, str]:
    """Return the newest final trainings of a trial whose weights can be exported: by job, in words."""
    kinds: tuple[tuple[JobKind, str], ...] = (("retrain", "retrained"), ("confirm", "confirming run"))
    found = {
        job.id: f"{word} by job {job.id}: {_trained(job)}"
        for kind, word in kinds
        for job in service.jobs(trial=trial_id, kind=kind, state="complete", page_size=SHOWN).items
    }
    return dict(sorted(found.items(), reverse=True))


def _trained(job: JobView) -> str:
    epochs = job.result.get("epochs")
    data = job.payload.get("dataset")
    accuracy = value_text("accuracy", job.result.get("metrics", {}).get("accuracy"))
    return f"{epochs} epochs{f' on {data}' if data else ''}, test accuracy {accuracy}"


def contents(service: Service, trial_id: int) -> dict[str, Any]:
    """Return the newest exports of a trial, with the size of each complete one's files."""
    service.trial(trial_id)
    return {"exports": service.jobs(trial=trial_id, kind="export", page_size=SHOWN).items}
