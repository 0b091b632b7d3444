"""Trials: list, read, learning curve, files, and an architecture that a person wants trained."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import FileResponse

from nas_service.api import PREFIX
from nas_service.api.bodies import OCTETS, JsonRoute
from nas_service.api.conditional import check
from nas_service.api.dependencies import FILE_ANSWER, Id, PageSize, PageToken, Sha256, TheService
from nas_service.api.idempotency import ONCE, OnceRoute
from nas_service.api.masks import FIELDS
from nas_service.errors import NotFound
from nas_service.measurements import StoredMeasurement
from nas_service.paging import ORDERS
from nas_service.row_ids import MAX_ID
from nas_service.trial_filter import MAX_LENGTH
from nas_service.trials import TrialState
from nas_service.views import CurvePoint, EvaluationView, Page, RungPlace, TrialSummary, TrialView

router = APIRouter(route_class=JsonRoute, tags=["trials"])
once_router = APIRouter(route_class=OnceRoute, tags=["trials"], dependencies=[ONCE])

Number = Annotated[int, Path(ge=0, le=MAX_ID)]
OrderBy = Annotated[
    str,
    Query(
        max_length=100,
        description="A metric lists the best first, or with a minus in front the worst.",
        json_schema_extra={"enum": list(ORDERS)},
    ),
]
Conditions = Annotated[
    str,
    Query(
        alias="filter",
        max_length=MAX_LENGTH,
        description="Conditions on metrics, number and state, joined by commas.",
        examples=["accuracy>=0.95,params<30000"],
    ),
]
SUFFIXES = {"weights": "safetensors", "architecture": "json", "evaluation": "json"}


@router.get("/studies/{study_id:row}/trials", dependencies=[FIELDS])
def list_trials(
    request: Request,
    response: Response,
    service: TheService,
    study_id: Id,
    state: TrialState | None = None,
    conditions: Conditions = "",
    order_by: OrderBy = "number",
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> Page[TrialSummary]:
    """List the trials of a study."""
    check(request, response, service.study(study_id))
    return service.trials(
        study_id,
        state=state,
        conditions=conditions,
        order_by=order_by,
        page_size=page_size,
        page_token=page_token,
    )


@once_router.post("/studies/{study_id:row}/trials", status_code=201)
def enqueue_trial(
    request: Request,
    response: Response,
    service: TheService,
    study_id: Id,
    architecture: Annotated[dict[str, Any], Body()],
) -> TrialView:
    """Have a given architecture trained within a study."""
    trial = service.enqueue(study_id, architecture)
    response.headers["Location"] = f"{PREFIX}/trials/{trial.id}"
    request.state.target = f"studies/{study_id}/trials/{trial.number}"
    return trial


@router.get("/studies/{study_id:row}/trials/{number:row}", dependencies=[FIELDS])
def read_trial_by_number(
    request: Request, response: Response, service: TheService, study_id: Id, number: Number
) -> TrialView:
    """Return a study's trial by its number."""
    check(request, response, service.study(study_id))
    return service.trial_by_number(study_id, number)


@router.get("/trials/{trial_id:row}", dependencies=[FIELDS])
def read_trial(request: Request, response: Response, service: TheService, trial_id: Id) -> TrialView:
    """Return a trial in full."""
    trial = service.trial(trial_id)
    check(request, response, service.study(trial.study_id))
    return trial


@router.get("/trials/{trial_id:row}/curve")
def read_curve(service: TheService, trial_id: Id) -> list[CurvePoint]:
    """Return a trial's learning curve."""
    return service.curve(trial_id)


@router.get("/trials/{trial_id:row}/evaluation")
def read_evaluation(service: TheService, trial_id: Id) -> EvaluationView:
    """Return how a complete trial answers on the validation part: by class, by pair, example by example."""
    return service.evaluation(trial_id)


@router.get("/trials/{trial_id:row}/rungs")
def read_rung_places(service: TheService, trial_id: Id) -> list[RungPlace]:
    """Return where a trial stands now at each rung of early stopping that it reached."""
    return service.rung_places(trial_id)


@router.get("/trials/{trial_id:row}/latencies")
def read_latencies(service: TheService, trial_id: Id) -> list[StoredMeasurement]:
    """Return what was measured of a trial's folded network, on all devices."""
    return service.latencies(trial_id)


@router.get("/trials/{trial_id:row}/files/{kind}", responses=FILE_ANSWER, response_class=FileResponse)
def download_file(
    service: TheService, trial_id: Id, kind: Annotated[str, Path(pattern="^[a-z_]{1,40}$")]
) -> Response:
    """Download a file of a trial: its weights, its architecture or its evaluation."""
    trial = service.trial(trial_id)
    if kind not in trial.artifacts:
        there_is = ", ".join(trial.artifacts) or "none yet"
        raise NotFound(f"trial {trial_id} has no file {kind!r}; there is: {there_is}")
    name = f"study-{trial.study_id}-trial-{trial.number}-{kind}.{SUFFIXES.get(kind, 'bin')}"
    return FileResponse(service.artifact_path(trial.artifacts[kind]), media_type=OCTETS, filename=name)


@router.get("/artifacts/{sha256}", responses=FILE_ANSWER, response_class=FileResponse)
def download_artifact(service: TheService, sha256: Sha256) -> Response:
    """Download a stored file by its sha256."""
    return FileResponse(service.artifact_path(sha256), media_type=OCTETS, filename=f"{sha256}.bin")
