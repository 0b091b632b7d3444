"""Families of architectures: search spaces that ship."""

from fastapi import APIRouter

from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import TheService
from nas_service.views import FamilyView

router = APIRouter(route_class=JsonRoute, tags=["families"])


@router.get("/families")
def list_families(service: TheService) -> list[FamilyView]:
    """List the families of architectures that ship."""
    return service.families()


@router.get("/families/{name}")
def read_family(service: TheService, name: str) -> FamilyView:
    """Return one family and its search space."""
    return service.family(name)
