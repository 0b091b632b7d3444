"""Reading a study's spec from YAML or JSON, with one clear line for each thing that is wrong."""

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nas_service.errors import FieldError, InvalidInput
from nas_service.studies import StudyChange, StudySpec

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Plain YAML data only: no tags, no aliases, no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise InvalidInput(FieldError("", "YAML aliases are not accepted"))
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise InvalidInput(FieldError("", f"the key {key.value[:60]!r} stands twice"))
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read_data(text: str | bytes) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON text holds.

    Raises:
        InvalidInput: Larger than 256 KiB, deeper than 20 levels, not valid, or no mapping.
    """
    if len(text) > MAX_BYTES:
        raise InvalidInput(FieldError("", f"{len(text)} bytes are too many", f"at most {MAX_BYTES}"))
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = _parsed(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(FieldError("", f"not valid YAML or JSON: {_first_line(error)}")) from error
    if not isinstance(data, dict):
        raise InvalidInput(FieldError("", f"must be a mapping of fields, not {type(data).__name__}"))
    plain: dict[str, Any] = _plain(data)
    return plain


def _parsed(text: str) -> Any:
    """Read JSON by its own rules where it is JSON: YAML knows neither its tabs nor its escaped emoji."""
    with suppress(json.JSONDecodeError):
        return json.loads(text, object_pairs_hook=_mapping_of)
    # PyYAML recurses: the depth is bounded on the tokens before anything is built.
    _check_depth(text)
    return yaml.load(text, Loader=_Loader)


def _mapping_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInput(FieldError("", f"the key {twice[:60]!r} stands twice"))
    return mapping


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
    return tuple(_field_error(detail, model) for detail in error.errors(include_url=False))


def _field_error(detail: ErrorDetails, model: type[BaseModel]) -> FieldError:
    location = [part for part in detail["loc"] if not str(part).startswith("function-")]
    pointer = "".join(f"/{str(part)[:80]}" for part in location)
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
        return FieldError(pointer, f"{_shown(detail['input'])} is unknown", str(context.get("expected", "")))
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    says_value = detail["type"] == "value_error" or not _is_plain(detail["input"])
    return FieldError(pointer, message if says_value else f"{message}, not {_shown(detail['input'])}")


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


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidInput(FieldError("", f"nested deeper than {MAX_DEPTH} levels"))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def _plain(value: Any, pointer: str = "", depth: int = 0) -> Any:
    """Refuse what JSON cannot say, keys that are no text, infinities, dates, and what is nested too deep."""
    if depth > MAX_DEPTH:
        raise InvalidInput(FieldError("", f"nested deeper than {MAX_DEPTH} levels"))
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInput(FieldError(pointer, f"the key {_shown(key)} must be text"))
        return {key: _plain(item, f"{pointer}/{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(FieldError(pointer, f"{value} is no finite number"))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidInput(FieldError(pointer, f"{_shown(value)} is neither text nor number"))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _first_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f" in line {mark.line + 1}" if mark else ""
    return f"{str(problem)[:200]}{where}"
