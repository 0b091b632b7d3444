"""Studies: create, list, read, change state, delete; their fronts and results."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from nas_service.api import PREFIX
from nas_service.api.bodies import YAML_TYPES, JsonRoute, SpecRoute
from nas_service.api.conditional import check, sequence_of
from nas_service.api.dependencies import Id, PageSize, PageToken, TheService
from nas_service.api.idempotency import ONCE, OnceRoute, OnceSpecRoute
from nas_service.api.masks import FIELDS
from nas_service.arms import ArmsView
from nas_service.paging import paged
from nas_service.plain_data import read_data
from nas_service.spec_file import read_change, read_spec
from nas_service.studies import StudyState
from nas_service.views import FrontForm, FrontView, Page, Preflight, SpaceVersion, StudyResult, StudyView

router = APIRouter(route_class=JsonRoute, tags=["studies"])
once_router = APIRouter(route_class=OnceRoute, tags=["studies"], dependencies=[ONCE])
spec_router = APIRouter(route_class=OnceSpecRoute, tags=["studies"], dependencies=[ONCE])
change_router = APIRouter(route_class=SpecRoute, tags=["studies"])


CHANGES_OF_A_SPEC: dict[str, Any] = {
    "required": False,
    "content": {
        kind: {"schema": {"type": "object", "additionalProperties": True}}
        for kind in ("application/json", YAML_TYPES[0])
    },
}


def body_of(model: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is JSON or YAML."""
    schema = {"$ref": f"#/components/schemas/{model}"}
    kinds = ("application/json", YAML_TYPES[0])
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


LAUNCH_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Preflight, "description": "With validate_only: what is known of the search."}
}
IfMatch = Annotated[
    str | None, Header(max_length=100, description="An ETag of the study: refused if it changed since.")
]
Samples = Annotated[int, Query(ge=1, le=5000, description="Architectures drawn for validate_only.")]
Form = Annotated[FrontForm, Query(description="By validation, or by means on the test part.")]
Metrics = Annotated[str | None, Query(max_length=500, description="Metrics, separated by commas.")]
ValidateOnly = Annotated[bool, Query(description="Launch nothing: only report what is known of the search.")]
NameHolds = Annotated[str | None, Query(max_length=200, description="A text that the name holds.")]


@spec_router.post(
    "/studies",
    status_code=201,
    response_model=StudyView,
    responses=LAUNCH_ANSWERS,
    openapi_extra=body_of("StudySpec"),
)
async def create_study(
    request: Request,
    service: TheService,
    validate_only: ValidateOnly = False,
    samples: Samples = 400,
) -> Response:
    """Launch a search, or with `validate_only` report what is known of it before any training."""
    body = await request.body()
    if validate_only:
        request.state.is_audited = False
        report = await run_in_threadpool(lambda: service.preflight(read_spec(body), samples))
        return JSONResponse(report.model_dump(mode="json"))
    return _launched(await run_in_threadpool(lambda: service.create_study(read_spec(body))))


@spec_router.post(
    "/studies/{study_id:row}:clone",
    status_code=201,
    response_model=StudyView,
    openapi_extra={"requestBody": CHANGES_OF_A_SPEC},
)
async def clone_study(request: Request, service: TheService, study_id: Id) -> Response:
    """Launch a search with the spec of this study; fields of a spec in the body go over it."""
    body = await request.body()
    changes = read_data(body) if body.strip() else {}
    return _launched(await run_in_threadpool(service.clone, study_id, changes))


def _launched(study: StudyView) -> Response:
    location = {"Location": f"{PREFIX}/studies/{study.study}"}
    return JSONResponse(study.model_dump(mode="json"), 201, headers=location)


@router.get("/studies", dependencies=[FIELDS])
def list_studies(
    service: TheService,
    page_size: PageSize = 50,
    page_token: PageToken = None,
    state: StudyState | None = None,
    name: NameHolds = None,
) -> Page[StudyView]:
    """List studies, the newest first."""
    return service.studies(page_size=page_size, page_token=page_token, state=state, name=name)


@router.get("/studies:find")
def find_study(service: TheService, name: Annotated[str, Query(min_length=1, max_length=200)]) -> StudyView:
    """Return the study of an id, or the newest of a name."""
    return service.find_study(name)


@router.get("/studies/{study_id:row}", dependencies=[FIELDS])
def read_study(request: Request, response: Response, service: TheService, study_id: Id) -> StudyView:
    """Return a study: what was asked and how it stands."""
    study = service.study(study_id)
    check(request, response, study)
    return study


@router.get("/studies/{study_id:row}/result", dependencies=[FIELDS])
def read_result(request: Request, response: Response, service: TheService, study_id: Id) -> StudyResult:
    """Return a study with its front, as `nas search --json` prints it."""
    check(request, response, service.study(study_id))
    return service.result(study_id)


@router.get("/studies/{study_id:row}/front", dependencies=[FIELDS])
def read_front(
    request: Request,
    response: Response,
    service: TheService,
    study_id: Id,
    metrics: Metrics = None,
    form: Form = "searched",
) -> FrontView:
    """Return the Pareto front: feasible, complete trials that no other beats in every metric.

    In the confirmed form it is the front of what was confirmed, by its means on the test part.
    """
    check(request, response, service.study(study_id))
    names = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    return service.front(study_id, names, form)


@change_router.patch("/studies/{study_id:row}", openapi_extra=body_of("StudyChange"))
async def change_study(
    request: Request, service: TheService, study_id: Id, if_match: IfMatch = None
) -> StudyView:
    """Give the study another name, budget, space or other limits.

    Earlier trials count where a new space could draw them, and are judged by new limits; what earlier limits
    rejected stays rejected. A study that has finished goes on if its budget then has room.
    """
    sequence = sequence_of(if_match, study_id) if if_match is not None else None
    change = read_change(await request.body())
    return await run_in_threadpool(service.change_study, study_id, change, sequence=sequence)


@router.get("/studies/{study_id:row}/arms")
def read_arms(request: Request, response: Response, service: TheService, study_id: Id) -> ArmsView:
    """Return what the search and its control arm, drawn at random, found for the epochs that each trained."""
    check(request, response, service.study(study_id))
    return service.arms(study_id)


@router.get("/studies/{study_id:row}/spaces")
def list_spaces(
    request: Request,
    response: Response,
    service: TheService,
    study_id: Id,
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> Page[SpaceVersion]:
    """List all versions of a study's space, the first one first."""
    check(request, response, service.study(study_id))
    return paged(service.spaces(study_id), f"spaces-{study_id}", page_size, page_token)


@router.delete("/studies/{study_id:row}", status_code=204)
def delete_study(service: TheService, study_id: Id) -> None:
    """Delete an ended study with all its trials."""
    service.delete(study_id)


@once_router.post("/studies/{study_id:row}:pause")
def pause_study(service: TheService, study_id: Id) -> StudyView:
    """Propose nothing more until resumed; running trials end."""
    return service.pause(study_id)


@once_router.post("/studies/{study_id:row}:resume")
def resume_study(service: TheService, study_id: Id) -> StudyView:
    """Go on with a paused study."""
    return service.resume(study_id)


@once_router.post("/studies/{study_id:row}:drain")
def drain_study(service: TheService, study_id: Id) -> StudyView:
    """Finish what runs, propose nothing more."""
    return service.drain(study_id)


@once_router.post("/studies/{study_id:row}:cancel")
@once_router.post("/studies/{study_id:row}:stop", include_in_schema=False)
def cancel_study(service: TheService, study_id: Id) -> StudyView:
    """End a study now; running trials are abandoned."""
    return service.cancel(study_id)
