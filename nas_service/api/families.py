"""Families of architectures: search spaces that ship."""

from fastapi import APIRouter

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import PageSize, PageToken, TheService
from nas_service.api.masks import FIELDS
from nas_service.paging import paged
from nas_service.views import FamilyView, Page

router = APIRouter(route_class=JsonRoute, tags=["families"])


@router.get("/families", dependencies=[FIELDS])
def list_families(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[FamilyView]:
    """List the families of architectures that ship."""
    return paged(service.families(), "families", page_size, page_token)


@router.get("/families/{name}")
def read_family(service: TheService, name: str) -> FamilyView:
    """Return one family and its search space."""
    return service.family(name)
