"""Studies: create, list, read, change state, delete; their fronts and results."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from nas_service.api import PREFIX
from nas_service.api.bodies import YAML_TYPES, JsonRoute, SpecRoute
from nas_service.api.conditional import check, sequence_of
from nas_service.api.dependencies import Id, PageSize, PageToken, TheService
from nas_service.api.idempotency import Answer, answer_once
from nas_service.spec_file import read_change, read_spec
from nas_service.studies import StudyState
from nas_service.views import FrontView, Page, Preflight, SpaceVersion, StudyResult, StudyView

router = APIRouter(route_class=JsonRoute, tags=["studies"])
spec_router = APIRouter(route_class=SpecRoute, tags=["studies"])


def body_of(model: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is JSON or YAML."""
    schema = {"$ref": f"#/components/schemas/{model}"}
    kinds = ("application/json", YAML_TYPES[0])
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


LAUNCH_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Preflight, "description": "With validate_only: what is known of the search."}
}
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=200, description="Sent again, the first answer comes again.")
]
IfMatch = Annotated[
    str | None, Header(max_length=100, description="An ETag of the study: refused if it changed since.")
]
Samples = Annotated[int, Query(ge=1, le=5000, description="Architectures drawn for validate_only.")]
Metrics = Annotated[str | None, Query(max_length=500, description="Metrics, separated by commas.")]


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
    validate_only: bool = False,
    samples: Samples = 400,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Launch a search, or with `validate_only` report what is known of it before any training."""
    body = await request.body()

    def launch() -> Answer:
        return 201, service.create_study(read_spec(body)).model_dump(mode="json")

    def answer() -> Answer:
        if validate_only:
            request.state.is_audited = False
            return 200, service.preflight(read_spec(body), samples).model_dump(mode="json")
        if idempotency_key is None:
            return launch()
        return answer_once(service.engine, idempotency_key, body, launch)

    status, content = await run_in_threadpool(answer)
    headers = {"Location": f"{PREFIX}/studies/{content['study']}"} if status == 201 else None
    return JSONResponse(content, status_code=status, headers=headers)


@router.get("/studies")
def list_studies(
    service: TheService,
    page_size: PageSize = 50,
    page_token: PageToken = None,
    state: StudyState | None = None,
) -> Page[StudyView]:
    """List studies, the newest first."""
    return service.studies(page_size=page_size, page_token=page_token, state=state)


@router.get("/studies:find")
def find_study(service: TheService, name: Annotated[str, Query(min_length=1, max_length=200)]) -> StudyView:
    """Return the study of an id, or the newest of a name."""
    return service.find_study(name)


@router.get("/studies/{study_id:row}")
def read_study(request: Request, response: Response, service: TheService, study_id: Id) -> StudyView:
    """Return a study: what was asked and how it stands."""
    study = service.study(study_id)
    check(request, response, study)
    return study


@router.get("/studies/{study_id:row}/result")
def read_result(request: Request, response: Response, service: TheService, study_id: Id) -> StudyResult:
    """Return a study with its front, as `nas search --json` prints it."""
    check(request, response, service.study(study_id))
    return service.result(study_id)


@router.get("/studies/{study_id:row}/front")
def read_front(
    request: Request,
    response: Response,
    service: TheService,
    study_id: Id,
    metrics: Metrics = None,
) -> FrontView:
    """Return the Pareto front: feasible, complete trials that no other beats in every metric."""
    check(request, response, service.study(study_id))
    names = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    return service.front(study_id, names)


@spec_router.patch("/studies/{study_id:row}", openapi_extra=body_of("StudyChange"))
async def change_study(
    request: Request, service: TheService, study_id: Id, if_match: IfMatch = None
) -> StudyView:
    """Widen or narrow the space: earlier trials count where the new version could have drawn them."""
    sequence = sequence_of(if_match, study_id) if if_match is not None else None
    space = read_change(await request.body()).space
    return await run_in_threadpool(service.change_space, study_id, space, sequence=sequence)


@router.get("/studies/{study_id:row}/spaces")
def list_spaces(service: TheService, study_id: Id) -> list[SpaceVersion]:
    """List all versions of a study's space, the first one first."""
    return service.spaces(study_id)


@router.delete("/studies/{study_id:row}", status_code=204)
def delete_study(service: TheService, study_id: Id) -> None:
    """Delete an ended study with all its trials."""
    service.delete(study_id)


@router.post("/studies/{study_id:row}:pause")
def pause_study(service: TheService, study_id: Id) -> StudyView:
    """Propose nothing more until resumed; running trials end."""
    return service.pause(study_id)


@router.post("/studies/{study_id:row}:resume")
def resume_study(service: TheService, study_id: Id) -> StudyView:
    """Go on with a paused study."""
    return service.resume(study_id)


@router.post("/studies/{study_id:row}:drain")
def drain_study(service: TheService, study_id: Id) -> StudyView:
    """Finish what runs, propose nothing more."""
    return service.drain(study_id)


@router.post("/studies/{study_id:row}:cancel")
@router.post("/studies/{study_id:row}:stop", include_in_schema=False)
def cancel_study(service: TheService, study_id: Id) -> StudyView:
    """End a study now; running trials are abandoned."""
    return service.cancel(study_id)
