"""A figure as an answer: compressed, and not sent again to a browser that has it."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from nas_service.dashboard.kept import Kept

_WORTH_PACKING = 4096
# What JSON never begins with.
_GZIP = b"\x1f\x8b"
# Of some 20 to 80 KB each.
_bodies: Kept[bytes] = Kept(64)


def answer(
    request: Request,
    build: Callable[[], dict[str, Any]],
    *,
    state: str | None = None,
    is_shared: bool = False,
) -> Response:
    """Answer with the document that `build` makes.

    Args:
        request: Says what the browser accepts and already has.
        build: Called only where the browser's copy is out of date.
        state: Changes whenever the document does; None where nothing tells that.
        is_shared: Make the document once for all that ask for this state.
    """
    headers = {"Vary": "Accept-Encoding"}
    if state is not None:
        headers["ETag"] = tag_of(state)
        if is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")

    def packed() -> bytes:
        body = json.dumps(build(), separators=(",", ":"), ensure_ascii=False).encode()
        if takes_gzip and len(body) > _WORTH_PACKING:
            return gzip.compress(body, compresslevel=4, mtime=0)
        return body

    is_kept = is_shared and state is not None
    body = _bodies.of(f"{request.url.path} {takes_gzip} {state}", packed) if is_kept else packed()
    if body.startswith(_GZIP):
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def tag_of(state: str) -> str:
    """Return the ETag of what changes whenever `state` does."""
    return f'W/"{zlib.crc32(state.encode()):08x}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the browser has what has this tag."""
    return tag in request.headers.get("if-none-match", "")
