"""The page that describes a pasted architecture; a plain form, so it works without any script."""

from typing import Annotated

from fastapi import APIRouter, Form, Response

from nas_service.dashboard.rendering import PageFormRoute, render
from nas_service.descriptions import ArchitectureView, describe
from nas_service.errors import FieldError, InvalidInput
from nas_service.plain_data import read_data
from nas_service.problems import cause_of
from nas_service.yaml_text import yaml_text
from search_spaces import families
from search_spaces.families.pictures import typical

router = APIRouter(route_class=PageFormRoute, include_in_schema=False)


@router.get("/describe")
def describe_page(family: str = "") -> Response:
    if family not in families.names():
        return _page("")
    text = yaml_text(typical(family).to_dict())
    return _page(text, view=describe(read_data(text)))


@router.post("/describe")
def describe_pasted(architecture: Annotated[str, Form()] = "") -> Response:
    try:
        return _page(architecture, view=describe(read_data(architecture)))
    except InvalidInput as error:
        cause = cause_of(error)
        assert cause is not None
        return _page(architecture, errors=error.errors, status=cause.status)


def _page(
    text: str,
    *,
    view: ArchitectureView | None = None,
    errors: tuple[FieldError, ...] = (),
    status: int = 200,
) -> Response:
    return render(
        "describe.html",
        status=status,
        page="describe",
        text=text,
        view=view,
        errors=errors,
        families=families.names(),
    )
