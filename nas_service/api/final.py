"""Networks trained for good: confirming a front, and training one network once more."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from nas_service.api import PREFIX
from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import Id, TheService
from nas_service.api.idempotency import ONCE, OnceRoute
from nas_service.api.jobs import ACCEPTED
from nas_service.confirmations import ConfirmationView, ConfirmRequest, RetrainRequest
from nas_service.views import JobView

router = APIRouter(route_class=JsonRoute, tags=["final training"])
once_router = APIRouter(route_class=OnceRoute, tags=["final training"], dependencies=[ONCE])
WANTED = ConfirmRequest()


@once_router.post("/studies/{study_id:row}:confirm", status_code=202)
def confirm_study(
    response: Response,
    service: TheService,
    study_id: Id,
    request: Annotated[ConfirmRequest, Body()] = WANTED,
) -> ConfirmationView:
    """Train members of the front again from scratch, with several seeds, and test each once.

    What was asked for before, with the same epochs and data, is not trained again: the same request may be
    sent any number of times.
    """
    response.headers["Location"] = f"{PREFIX}/studies/{study_id}/confirmation"
    return service.confirm(study_id, request)


@router.get("/studies/{study_id:row}/confirmation")
def read_confirmation(service: TheService, study_id: Id) -> ConfirmationView:
    """Return how the confirmation stands: a member each with its runs, their mean and deviation."""
    return service.confirmation(study_id)


@once_router.post(
    "/trials/{trial_id:row}:retrain", status_code=202, response_model=JobView, responses=ACCEPTED
)
def retrain_trial(response: Response, service: TheService, trial_id: Id, request: RetrainRequest) -> JobView:
    """Train a network once more: longer, or for other data from the weights that it has."""
    job = service.retrain(trial_id, request)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    return job
