"""ETag and 304: a reader that knows a study's newest state is told so in an empty answer."""

import re
import zlib

from fastapi import Request, Response

from nas_service.errors import FieldError, InvalidInput
from nas_service.views import StudyView


class NotModified(Exception):
    """The reader already has this state."""

    def __init__(self, etag: str) -> None:
        self.etag = etag
        super().__init__(etag)


def check(request: Request, response: Response, study: StudyView) -> None:
    """Tag the answer with the study's state; raises `NotModified` where the reader has it already."""
    # State and reason may change while no trial does: workers come and go.
    told = zlib.crc32(f"{study.state} {study.reason}".encode())
    etag = f'W/"{study.study}-{study.sequence}-{told:08x}"'
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        raise NotModified(etag)
    response.headers["ETag"] = etag


def sequence_of(etag: str, study_id: int) -> int:
    """Return the sequence that an ETag of the study tells, perhaps without the rest of it.

    Raises `InvalidInput` for any other text.
    """
    found = re.fullmatch(rf'(?:W/)?"{study_id}-([0-9]{{1,18}})(?:-[0-9a-f]{{8}})?"', etag.strip())
    if found is None:
        raise InvalidInput(FieldError("/if-match", f"{etag!r} is no ETag of study {study_id}"))
    return int(found[1])


async def not_modified(_request: Request, error: Exception) -> Response:
    """Answer `NotModified`."""
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.etag})
