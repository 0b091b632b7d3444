"""Workers and devices as people see them."""

from fastapi import APIRouter

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import TheService
from nas_service.views import DeviceView, WorkerView

router = APIRouter(route_class=JsonRoute, tags=["workers"])


@router.get("/workers")
def list_workers(service: TheService) -> list[WorkerView]:
    """List the workers, alive or not."""
    return service.workers()


@router.get("/devices")
def list_devices(service: TheService) -> list[DeviceView]:
    """List where latency was, or is to be, measured."""
    return service.devices()
