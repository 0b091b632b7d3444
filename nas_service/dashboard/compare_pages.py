"""The page that puts trials side by side, and its plot."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from nas_service.api.dependencies import TheService
from nas_service.dashboard import comparison
from nas_service.dashboard.figure_answer import answer
from nas_service.dashboard.rendering import PageRoute, error_page, render
from nas_service.row_ids import MAX_ID

router = APIRouter(include_in_schema=False)
pages = APIRouter(route_class=PageRoute)
# A table of trials may hand over more than are compared.
Ids = Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None, Query(max_length=50)]
_HOW_TO_CHOOSE = (
    f"Tick {comparison.FEWEST} to {comparison.MOST} trials in a study's front or in its table of trials,"
    " then press Compare."
)


@pages.get("/compare")
def compare(request: Request, service: TheService, t: Ids = None) -> Response:
    ids = t or []
    if len(set(ids)) < comparison.FEWEST:
        return error_page(
            HTTPStatus.UNPROCESSABLE_ENTITY, _HOW_TO_CHOOSE, request, title="Choose trials to compare"
        )
    return render("compare.html", page="compare", **comparison.contents(service, ids))


@router.get("/figures/compare.json")
def curves(request: Request, service: TheService, t: Ids = None) -> Response:
    return answer(request, lambda: comparison.curves(service, t or []))


router.include_router(pages)
