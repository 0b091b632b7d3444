"""Data sets: list, read, and register by uploading a file."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from nas_service.api.bodies import OCTETS, JsonRoute, UploadRoute, limited, media_type, read_at_most
from nas_service.api.dependencies import PageSize, PageToken, TheService, TheSettings
from nas_service.api.masks import FIELDS
from nas_service.errors import FieldError, InvalidInput
from nas_service.paging import paged
from nas_service.settings import Settings
from nas_service.views import DatasetView, Page

router = APIRouter(route_class=JsonRoute, tags=["datasets"])
upload_router = APIRouter(route_class=UploadRoute, tags=["datasets"])

CHUNK = 1024 * 1024
# Uploads that are read at the same time.
READERS = 2
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            OCTETS: {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "name": {"type": "string"},
                    },
                }
            },
        },
    }
}
Name = Annotated[str | None, Query(max_length=100, description="Defaults to the file's name.")]
FileName = Annotated[
    str | None,
    Query(max_length=200, description="With a raw body: its ending tells the format, .npz or .zip."),
]


@router.get("/datasets", dependencies=[FIELDS])
def list_datasets(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[DatasetView]:
    """List the registered data sets."""
    return paged(service.datasets(), "datasets", page_size, page_token)


@router.get("/datasets/{name}")
def read_dataset(service: TheService, name: str) -> DatasetView:
    """Return one data set."""
    return service.dataset(name)


@router.delete("/datasets/{name}", status_code=204)
def delete_dataset(service: TheService, name: str) -> None:
    """Delete a data set that no study uses."""
    service.delete_dataset(name)


@upload_router.post("/datasets", status_code=201, openapi_extra=UPLOAD_BODY)
async def upload_dataset(
    request: Request, service: TheService, settings: TheSettings, name: Name = None, filename: FileName = None
) -> DatasetView:
    """Check an uploaded file and register it: an .npz, or a zip of IDX files or of images by class."""
    uploads = settings.uploads_folder
    uploads.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=uploads, prefix="upload-") as folder:
        if media_type(request) == OCTETS:
            path = Path(folder) / _safe_name(filename or f"{name or 'upload'}.npz")
            await _store(read_at_most(request, settings.max_upload_bytes), path)
        else:
            path, named = await _store_form_file(request, settings, Path(folder))
            name = name or named
        # Each may take as much memory as a data set has, and waiting must not hold the threads of others.
        async with request.app.state.readers:
            dataset = await run_in_threadpool(service.add_dataset, path, name)
    request.state.target = f"datasets/{dataset.name}"
    return dataset


async def _store_form_file(request: Request, settings: Settings, folder: Path) -> tuple[Path, str | None]:
    bounded = limited(request, settings.max_upload_bytes)
    async with bounded.form(max_files=1, max_fields=5) as form:
        file, name = form.get("file"), form.get("name")
        if not isinstance(file, UploadFile):
            raise InvalidInput(FieldError("/file", "missing; send the data set as the form's file"))
        path = folder / _safe_name(file.filename or "upload.npz")
        await _store(_parts(file), path)
    return path, name if isinstance(name, str) and name else None


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(CHUNK):
        yield part


async def _store(parts: AsyncIterator[bytes], path: Path) -> None:
    with path.open("xb") as stream:
        async for part in parts:
            await run_in_threadpool(stream.write, part)
    if path.stat().st_size == 0:
        raise HTTPException(422, "the body is empty; send the file itself")


def _safe_name(filename: str) -> str:
    """Return a plain file name that keeps the ending; it serves inside one temporary folder only."""
    last = re.split(r"[/\\]", filename)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-")[-100:] or "upload.npz"
