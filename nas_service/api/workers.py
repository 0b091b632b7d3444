"""Workers and devices as people see them."""

from fastapi import APIRouter

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import PageSize, PageToken, TheService
from nas_service.api.masks import FIELDS
from nas_service.paging import paged
from nas_service.views import DeviceView, Page, WorkerView

router = APIRouter(route_class=JsonRoute, tags=["workers"])


@router.get("/workers", dependencies=[FIELDS])
def list_workers(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[WorkerView]:
    """List the workers, alive or not."""
    return paged(service.workers(), "workers", page_size, page_token)


@router.get("/devices", dependencies=[FIELDS])
def list_devices(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[DeviceView]:
    """List where latency was, or is to be, measured."""
    return paged(service.devices(), "devices", page_size, page_token)
