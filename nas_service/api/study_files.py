"""Files that a whole study is taken away as."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import Id, TheService
from nas_service.study_files import MEDIA_TYPES, FileName, parts

router = APIRouter(route_class=JsonRoute, tags=["studies"])
BINARY = {"schema": {"type": "string", "format": "binary"}}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {media_type.partition(";")[0]: BINARY for media_type in MEDIA_TYPES.values()},
    }
}


@router.get("/studies/{study_id:row}/files/{name}", responses=ANSWER, response_class=StreamingResponse)
def download_study_file(service: TheService, study_id: Id, name: FileName) -> StreamingResponse:
    """Download a study: its trials as a table or JSON lines, a report in one file, or a replay bundle."""
    headers = {"Content-Disposition": f'attachment; filename="study-{study_id}-{name}"'}
    return StreamingResponse(parts(service, study_id, name), media_type=MEDIA_TYPES[name], headers=headers)
