"""A figure as an answer: compressed, and not sent again to a browser that has it."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

_WORTH_PACKING = 4096


def answer(request: Request, build: Callable[[], dict[str, Any]], *, state: str | None = None) -> Response:
    """Answer with the document that `build` makes.

    Args:
        request: Says what the browser accepts and already has.
        build: Called only where the browser's copy is out of date.
        state: Changes whenever the document does; None where nothing tells that.
    """
    headers = {"Vary": "Accept-Encoding"}
    if state is not None:
        headers["ETag"] = tag_of(state)
        if is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
    body = json.dumps(build(), separators=(",", ":"), ensure_ascii=False).encode()
    if len(body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=4, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def tag_of(state: str) -> str:
    """Return the ETag of what changes whenever `state` does."""
    return f'W/"{zlib.crc32(state.encode()):08x}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the browser has what has this tag."""
    return tag in request.headers.get("if-none-match", "")
