"""Reading a study's spec from YAML or JSON, with one clear line for each thing that is wrong."""

import difflib
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nas_service.errors import FieldError, InvalidInput
from nas_service.plain_data import pointed, read_data, shown
from nas_service.studies import StudyChange, StudySpec

# Of many wrong fields a person mends a few at a time.
MAX_ERRORS = 10
Model = TypeVar("Model", bound=BaseModel)


def read_spec(source: str | bytes | Mapping[str, Any]) -> StudySpec:
    """Return the spec that a text or mapping describes; raises `InvalidInput` naming every wrong field."""
    return _read(source, StudySpec)


def read_change(source: str | bytes | Mapping[str, Any]) -> StudyChange:
    """Return the change of a study that a text or mapping describes; raises `InvalidInput` likewise."""
    return _read(source, StudyChange)


def _read(source: str | bytes | Mapping[str, Any], model: type[Model]) -> Model:
    data = dict(source) if isinstance(source, Mapping) else read_data(source)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(*field_errors(error, model)) from error


def field_errors(error: ValidationError, model: type[BaseModel]) -> tuple[FieldError, ...]:
    """Turn pydantic's findings into ours: a JSON pointer, one sentence, and what is allowed."""
    found = error.errors(include_url=False)
    return tuple(_field_error(detail, model) for detail in found[:MAX_ERRORS])


def _field_error(detail: ErrorDetails, model: type[BaseModel]) -> FieldError:
    location = [part for part in detail["loc"] if not str(part).startswith("function-")]
    pointer = reduce(pointed, location, "")
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        name = str(location[-1])[:80]
        known = _known_fields(model, location[:-1])
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return FieldError(pointer, f"unknown field {name!r}{hint}", ", ".join(known))
    if detail["type"] == "missing":
        return FieldError(pointer, "missing")
    if detail["type"] == "literal_error":
        return FieldError(pointer, f"{shown(detail['input'])} is unknown", str(context.get("expected", "")))
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    says_value = detail["type"] == "value_error" or not _is_plain(detail["input"])
    return FieldError(pointer, message if says_value else f"{message}, not {shown(detail['input'])}")


def _known_fields(model: type[BaseModel], path: list[Any]) -> list[str]:
    """Return the field names of the part of a model that a path leads to."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        inner = next(_models_in(field.annotation), None)
        model = inner or model
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
