"""Data from text that others wrote: YAML or JSON, bounded in size, depth and count, with one clear error."""

import json
import math
import re
from collections import Counter
from contextlib import suppress
from typing import Any

import yaml

from nas_service.errors import FieldError, InvalidInput

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
# Keys, values, lists and mappings of a YAML text; a large spec has some hundred. JSON is read far faster.
MAX_NODES = 10_000

# libyaml parses ten times faster; wheels of PyYAML have it, builds from source may not.
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]\d+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)


class _Loader(_Base):  # type: ignore[misc, valid-type]  # which base is known at run time only
    """Text, numbers, truth values and null only, and no key twice.

    Left out of YAML 1.1: dates, which stay text; numbers to the base 60, whose reading takes quadratic time;
    and merge keys, which are aliases' other half.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise InvalidInput(FieldError("", f"the key {key.value[:60]!r} stands twice"))
            seen.add(str(key.value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_KINDS = {"tag:yaml.org,2002:int": _INT, "tag:yaml.org,2002:float": _FLOAT}
_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", *_KINDS)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, _KINDS.get(tag, pattern)) for tag, pattern in resolvers if tag in _KEPT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_data(text: str | bytes) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON text holds.

    Raises:
        InvalidInput: Larger than 256 KiB, deeper than 20 levels, not valid, or no mapping.
    """
    if len(text) > MAX_BYTES:
        raise InvalidInput(FieldError("", "the text is too long", f"at most {MAX_BYTES} bytes"))
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = _parsed(text)
    except RecursionError as error:
        raise _too_deep() from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(FieldError("", f"not valid YAML or JSON: {_first_line(error)}")) from error
    if data is None:
        raise InvalidInput(FieldError("", "it is empty; must be a mapping of fields"))
    if not isinstance(data, dict):
        raise InvalidInput(FieldError("", f"must be a mapping of fields, not {type(data).__name__}"))
    plain: dict[str, Any] = _plain(data)
    return plain


def shown(value: Any) -> str:
    """Return a value in at most 80 characters."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def pointed(pointer: str, key: object) -> str:
    """Return the JSON pointer (RFC 6901) of a key below `pointer`; of a long key its beginning."""
    return f"{pointer}/{str(key)[:80].replace('~', '~0').replace('/', '~1')}"


def _parsed(text: str) -> Any:
    """Read JSON by its own rules where it is JSON: YAML knows neither its tabs nor its escaped emoji."""
    with suppress(json.JSONDecodeError):
        return json.loads(text, object_pairs_hook=_mapping_of)
    _check_events(text)
    return yaml.load(text, Loader=_Loader)


def _mapping_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InvalidInput(FieldError("", f"the key {twice[:60]!r} stands twice"))
    return mapping


def _check_events(text: str) -> None:
    """Refuse aliases, tags, and what is too much or too deep, before anything is built: PyYAML recurses."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidInput(FieldError("", "YAML aliases are not accepted"))
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            if getattr(event, "tag", None) is not None:
                raise InvalidInput(FieldError("", "YAML tags are not accepted"))
        if depth > MAX_DEPTH:
            raise _too_deep()
        if nodes > MAX_NODES:
            raise InvalidInput(FieldError("", "too many keys and values", f"at most {MAX_NODES}"))


def _too_deep() -> InvalidInput:
    return InvalidInput(FieldError("", f"nested deeper than {MAX_DEPTH} levels"))


def _plain(value: Any, pointer: str = "", depth: int = 0) -> Any:
    """Refuse what JSON cannot say, keys that are no text, infinities, and what is nested too deep."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInput(FieldError(pointer, f"the key {shown(key)} must be text"))
        return {key: _plain(item, pointed(pointer, key), depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(FieldError(pointer, f"{value} is no finite number"))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidInput(FieldError(pointer, f"{shown(value)} is neither text nor number"))


def _first_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or (str(error) or type(error).__name__).splitlines()[0]
    where = f" in line {mark.line + 1}" if mark else ""
    return f"{str(problem)[:200]}{where}"
