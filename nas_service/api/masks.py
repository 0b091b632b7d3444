"""`fields`: an answer of a few fields, for readers that want no more."""

import difflib
import json
from typing import Annotated, Any, get_args

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from nas_service.errors import FieldError, InvalidInput
from nas_service.views import Page

EVERYTHING = "*"
Names = Annotated[
    str | None,
    Query(
        max_length=1000,
        description="Only these fields of the answer, or of each item: names separated by commas, with a "
        "point between a field and its part; * for all.",
        examples=["number,state,metrics.accuracy"],
    ),
]


def _checked(request: Request, fields: Names = None) -> None:
    """Remember which fields are wanted; refuse names that the answer does not have."""
    if not fields or fields.strip() == EVERYTHING:
        return
    names = [name.strip() for name in fields.split(",")]
    known = _fields_of(request.scope["route"].response_model)
    for name in names:
        if name.partition(".")[0] not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidInput(FieldError("/fields", f"unknown field {name[:60]!r}{hint}", ", ".join(known)))
    request.state.fields = names


FIELDS = Depends(_checked)


def masked(request: Request, response: Response) -> Response:
    """Return a response with the wanted fields alone; the same one where all are wanted."""
    names = getattr(request.state, "fields", None)
    if names is None or response.status_code != 200:
        return response
    content = json.loads(bytes(response.body))
    is_page = isinstance(content, dict) and set(content) == set(Page.model_fields)
    if is_page:
        content["items"] = [_picked(item, names) for item in content["items"]]
    elif isinstance(content, list):
        content = [_picked(item, names) for item in content]
    else:
        content = _picked(content, names)
    headers = {name: value for name, value in response.headers.items() if name not in LENGTH}
    return JSONResponse(content, headers=headers)


LENGTH = ("content-length", "content-type")


def _picked(item: dict[str, Any], names: list[str]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for name in names:
        source, target, parts = item, picked, name.split(".")
        while len(parts) > 1 and isinstance(source.get(parts[0]), dict):
            source, target = source[parts[0]], target.setdefault(parts.pop(0), {})
        if len(parts) == 1 and parts[0] in source:
            target[parts[0]] = source[parts[0]]
    return picked


def _fields_of(answer: Any) -> list[str]:
    """Return the names of what an answer, or each of its items, consists of."""
    if isinstance(answer, type) and issubclass(answer, BaseModel):
        items = answer.model_fields.get("items")
        return (
            _fields_of(items.annotation) if items and issubclass(answer, Page) else list(answer.model_fields)
        )
    return _fields_of(get_args(answer)[0])
