"""What a person types as YAML beside the form, read by the rules of a launch and given back as data."""

import json

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from nas_service.api.bodies import SpecRoute
from nas_service.errors import FieldError, InvalidInput
from nas_service.plain_data import read_data

router = APIRouter(route_class=SpecRoute, include_in_schema=False)


@router.post("/studies/new/read")
async def read_typed(request: Request) -> Response:
    """Answer with the mapping that a text holds; whether it is a good spec, the pre-flight report says."""
    data = read_data(await request.body())
    try:
        json.dumps(data, allow_nan=False)
    except ValueError as error:
        raise InvalidInput(FieldError("", "a number is infinite or NaN")) from error
    return JSONResponse(data)
