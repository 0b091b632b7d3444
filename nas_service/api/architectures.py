"""Architectures: described without any training."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from nas_service.api.bodies import YAML_TYPES, SpecRoute
from nas_service.api.dependencies import TheService
from nas_service.descriptions import ArchitectureView
from nas_service.plain_data import read_data

router = APIRouter(route_class=SpecRoute, tags=["architectures"])

EXAMPLE = {
    "input_shape": [1, 28, 28],
    "classes": 10,
    "stages": [
        {
            "branches": [
                [{"op": "conv", "channels": 8, "kernel": 3}],
                [{"op": "conv", "channels": 8, "kernel": 7}],
            ],
            "channels": 16,
            "downsample": "max",
        }
    ],
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "object", "example": EXAMPLE}}
            for kind in ("application/json", YAML_TYPES[0])
        },
    }
}


@router.post("/architectures:describe", openapi_extra=BODY)
async def describe_architecture(request: Request, service: TheService) -> ArchitectureView:
    """Return an architecture's canonical form, exact cost layer by layer, and pictures; nothing is stored."""
    body = await request.body()
    return await run_in_threadpool(lambda: service.describe(read_data(body)))
