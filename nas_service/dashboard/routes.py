"""All addresses of the dashboard, as one router."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from nas_service.dashboard import (
    catalogue_pages,
    compare_pages,
    describe,
    figure_routes,
    fragments,
    launch_pages,
    machine_pages,
    pages,
    plotly_script,
    settings_pages,
    spec_reading,
    study_figures,
    study_pages,
    trial_exports,
    trial_pages,
)

STATIC = Path(__file__).parent / "static"

router = APIRouter(include_in_schema=False)
for part in (
    launch_pages,
    spec_reading,
    pages,
    compare_pages,
    study_pages,
    catalogue_pages,
    trial_pages,
    machine_pages,
    settings_pages,
    describe,
    fragments,
    figure_routes,
    study_figures,
    trial_exports,
    plotly_script,
):
    router.include_router(part.router)
router.include_router(trial_pages.figures)


@router.get("/favicon.ico")
def icon() -> FileResponse:
    """The icon, for pages that name none."""
    return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")
