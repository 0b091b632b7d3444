"""Jobs: list, read, cancel, files; and the export of a trial, which is one."""

import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse, StreamingResponse

from nas_service.api import PREFIX
from nas_service.api.bodies import OCTETS, JsonRoute
from nas_service.api.dependencies import FILE_ANSWER, Id, PageSize, PageToken, TheService
from nas_service.api.idempotency import ONCE, OnceRoute
from nas_service.api.masks import FIELDS
from nas_service.errors import NotFound
from nas_service.exports import ExportRequest
from nas_service.jobs import FILE_NAME, JobKind, JobState
from nas_service.row_ids import MAX_ID
from nas_service.service import Service
from nas_service.views import JobView, Page

router = APIRouter(route_class=JsonRoute, tags=["jobs"])
once_router = APIRouter(route_class=OnceRoute, tags=["jobs"], dependencies=[ONCE])

Only = Annotated[int | None, Query(ge=1, le=MAX_ID)]
FileName = Annotated[str, Path(pattern=f"^{FILE_NAME.pattern}$")]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobView, "description": "The job that does it; its files come when it is complete."}
}
ZIP_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All files of the job.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
PIECE_BYTES = 256 * 1024
# A larger archive waits on disk until it is sent.
IN_MEMORY_BYTES = 8 * 1024 * 1024


@router.get("/jobs", dependencies=[FIELDS])
def list_jobs(
    service: TheService,
    study: Only = None,
    trial: Only = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    page_size: PageSize = 50,
    page_token: PageToken = None,
) -> Page[JobView]:
    """List jobs, the newest first."""
    return service.jobs(
        study=study, trial=trial, kind=kind, state=state, page_size=page_size, page_token=page_token
    )


@router.get("/jobs/{job_id:row}", dependencies=[FIELDS])
def read_job(service: TheService, job_id: Id) -> JobView:
    """Return a job."""
    return service.job(job_id)


@once_router.post("/jobs/{job_id:row}:cancel")
def cancel_job(service: TheService, job_id: Id) -> JobView:
    """End a job that waits or runs."""
    return service.cancel_job(job_id)


@router.get("/jobs/{job_id:row}/files/{name}", responses=FILE_ANSWER, response_class=FileResponse)
def download_job_file(service: TheService, job_id: Id, name: FileName) -> Response:
    """Download one file of a job."""
    job = service.job(job_id)
    if name not in job.artifacts:
        there_is = ", ".join(job.artifacts) or f"none, for it is {job.state}"
        raise NotFound(f"job {job_id} has no file {name!r}; there is: {there_is}")
    return FileResponse(service.artifact_path(job.artifacts[name]), media_type=OCTETS, filename=name)


@router.get("/jobs/{job_id:row}/archive", responses=ZIP_ANSWER, response_class=StreamingResponse)
def download_job_archive(service: TheService, job_id: Id) -> Response:
    """Download all files of a job as one zip."""
    job = service.job(job_id)
    if not job.artifacts:
        raise NotFound(f"job {job_id} has no files; it is {job.state}")
    name = f"job-{job_id}-{job.kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    content = _zipped(service, job, name)
    return StreamingResponse(_pieces(content), media_type="application/zip", headers=headers)


@once_router.post(
    "/trials/{trial_id:row}:export", status_code=202, response_model=JobView, responses=ACCEPTED
)
def export_trial(response: Response, service: TheService, trial_id: Id, request: ExportRequest) -> JobView:
    """Have a worker write and verify the files of a trained network."""
    job = service.export_trial(trial_id, request)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    return job


def _zipped(service: Service, job: JobView, folder: str) -> IO[bytes]:
    content = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115  (closed by its reader)
    try:
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, sha256 in sorted(job.artifacts.items()):
                archive.write(service.artifact_path(sha256), f"{folder}/{name}")
    except BaseException:
        content.close()
        raise
    content.seek(0)
    return content


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        while piece := content.read(PIECE_BYTES):
            yield piece
