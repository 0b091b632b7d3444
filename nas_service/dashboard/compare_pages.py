"""The page that puts trials side by side, and its plot."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from nas_service.api.dependencies import TheService
from nas_service.dashboard import comparison
from nas_service.dashboard.figure_answer import answer
from nas_service.dashboard.rendering import PageRoute, render
from nas_service.row_ids import MAX_ID

router = APIRouter(include_in_schema=False)
pages = APIRouter(route_class=PageRoute)
# A table of trials may hand over more than are compared.
Ids = Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None, Query(max_length=50)]


@pages.get("/compare")
def compare(service: TheService, t: Ids = None) -> Response:
    return render("compare.html", page="compare", **comparison.contents(service, t or []))


@router.get("/figures/compare.json")
def curves(request: Request, service: TheService, t: Ids = None) -> Response:
    return answer(request, lambda: comparison.curves(service, t or []))


router.include_router(pages)
