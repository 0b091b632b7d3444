"""Reading a study's spec from YAML or JSON, with one clear line for each thing that is wrong."""

import difflib
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
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
    return read_model(source, StudySpec)


def read_change(source: str | bytes | Mapping[str, Any]) -> StudyChange:
    """Return the change of a study that a text or mapping describes; raises `InvalidInput` likewise."""
    return read_model(source, StudyChange)


def merged_spec(base: Mapping[str, Any], changes: Mapping[str, Any]) -> StudySpec:
    """Lay changes over a spec's content: groups of fields are merged, single ones replaced.

    None and empty groups change nothing. A spec without a name is named for its data set and space.

    Raises:
        InvalidInput: A field is wrong, or no data set is named.
    """
    merged = dict(base)
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merged_group(merged[name], value)
        elif value not in (None, {}):
            merged[name] = value
    if "dataset" not in merged:
        raise InvalidInput(FieldError("/dataset", "missing; name a data set, or the path of one"))
    if "name" not in merged:
        merged["name"] = f"{Path(str(merged['dataset'])).stem}-{space_name(merged.get('space'))}"
    return read_spec(merged)


def space_name(space: Any) -> str:
    """Return what a spec's space is called."""
    if isinstance(space, Mapping):
        return str(space.get("family", "space"))
    return str(space or "multi_scale")


def read_file(path: Path) -> bytes:
    """Return a spec file's content; raises `InvalidInput` where there is none."""
    if not path.is_file():
        raise InvalidInput(FieldError("", f"no spec file at {path}"))
    return path.read_bytes()


def _merged_group(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        is_group = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = {**merged[name], **value} if is_group else value
    return merged


def read_model(source: str | bytes | Mapping[str, Any], model: type[Model]) -> Model:
    """Return the value that a text or mapping describes; raises `InvalidInput` naming every wrong field."""
    data = dict(source) if isinstance(source, Mapping) else read_data(source)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # The field's own error says all; pydantic's account of it would bury that in a notebook.
        raise InvalidInput(*field_errors(error, model)) from None


def field_errors(
    error: ValidationError, model: type[BaseModel], *, below: str = ""
) -> tuple[FieldError, ...]:
    """Turn pydantic's findings into ours: a JSON pointer, one sentence, and what is allowed.

    `below` is the pointer of the field that held the model.
    """
    found = [_field_error(detail, model) for detail in error.errors(include_url=False)[:MAX_ERRORS]]
    return tuple(FieldError(below + field.pointer, field.message, field.allowed) for field in found)


# What a bound of pydantic's leaves, by the name that its findings give it.
_ALLOWED = {
    "expected": "{}",
    "le": "at most {}",
    "lt": "less than {}",
    "ge": "at least {}",
    "gt": "more than {}",
    "max_length": "at most {} long",
    "min_length": "at least {} long",
}


# What a value of the wrong kind should have been, by pydantic's name for the finding.
_KINDS = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    "string_type": "must be text",
}


_BOUNDS = frozenset({"less_than", "less_than_equal", "greater_than", "greater_than_equal"})


def allowed_by(context: Mapping[str, Any]) -> str | None:
    """Return what would be right, from what pydantic says of a wrong value; None where it names no bound.

    Example:
        >>> allowed_by({"ge": 1}), allowed_by({"expected": "'max' or 'min'"}), allowed_by({})
        ('at least 1', "'max' or 'min'", None)
    """
    return next((words.format(context[name]) for name, words in _ALLOWED.items() if name in context), None)


def needed_kind(finding: ErrorDetails) -> str | None:
    """Return what a value must be, from pydantic's finding of one that is no number or out of bounds."""
    if kind := _KINDS.get(finding["type"]):
        return kind
    bound = allowed_by(finding.get("ctx", {})) if finding["type"] in _BOUNDS else None
    return f"must be {bound}" if bound else None


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
        return FieldError(pointer, f"{shown(detail['input'])} is unknown", allowed_by(context))
    said = _KINDS.get(detail["type"]) or detail["msg"]
    said = said.removeprefix("Value error, ")
    said = said.replace("Input should be", "must be").replace("String should have", "must have")
    message, _, allowed = said.partition("; allowed: ")
    says_value = detail["type"] == "value_error" or not _is_plain(detail["input"])
    return FieldError(
        pointer,
        message if says_value else f"{message}, not {shown(detail['input'])}",
        allowed or allowed_by(context),
    )


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
