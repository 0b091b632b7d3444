"""plotly.js as the installed plotly wheel holds it: named by version, so browsers keep it for good."""

import gzip
import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Header
from fastapi.responses import FileResponse, Response

router = APIRouter()
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_MEDIA_TYPE = "text/javascript; charset=utf-8"


def address() -> str:
    """Where the script is served."""
    return f"/plotly-{version('plotly')}.min.js"


@cache
def style_ids() -> list[str]:
    """Ids of style elements that the script would add to a page that has none of that id.

    Adding them is inline style, which the pages' content security policy forbids; nothing that we draw needs
    them, so pages hold an empty element of each id.
    """
    return sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', _path().read_text())))


@router.get("/plotly-{_version}.min.js", include_in_schema=False)
def plotly(_version: str, accept_encoding: str = Header(default="")) -> Response:
    """The script, compressed where the browser takes that (1.5 instead of 4.8 MB)."""
    if "gzip" in accept_encoding:
        headers = {**_HEADERS, "Content-Encoding": "gzip"}
        return Response(_compressed(), media_type=_MEDIA_TYPE, headers=headers)
    return FileResponse(_path(), media_type=_MEDIA_TYPE, headers=_HEADERS)


@cache
def _compressed() -> bytes:
    return gzip.compress(_path().read_bytes(), compresslevel=6, mtime=0)


def _path() -> Path:
    # Importing plotly costs more time than the whole server; only its folder is wanted.
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise FileNotFoundError("the plotly package is not installed")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"
