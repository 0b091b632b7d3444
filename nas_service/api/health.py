"""Whether the server lives, whether it can work, and what it offers."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nas_service import __version__
from nas_service.api import PREFIX
from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import TheService

router = APIRouter(route_class=JsonRoute, tags=["health"])


class Health(BaseModel):
    """What a probe wants to know."""

    status: str
    service: str = "nas"
    version: str = __version__


@router.get("/healthz")
async def healthz() -> Health:
    """Answer while the process lives."""
    return Health(status="ok")


@router.get("/readyz")
def readyz(request: Request, service: TheService) -> Health:
    """Answer while the database does, until the server is told to end."""
    if request.app.state.is_ending:
        raise HTTPException(503, "the server is ending")
    service.latest_event()
    return Health(status="ready")


@router.get(f"{PREFIX}/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = request.app.openapi()
    return document
