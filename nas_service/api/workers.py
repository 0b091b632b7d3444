"""Workers as people see them."""

from fastapi import APIRouter

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import TheService
from nas_service.views import WorkerView

router = APIRouter(route_class=JsonRoute, tags=["workers"])


@router.get("/workers")
def list_workers(service: TheService) -> list[WorkerView]:
    """List the workers, alive or not."""
    return service.workers()
