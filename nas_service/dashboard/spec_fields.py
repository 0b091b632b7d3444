"""The fields of a spec as inputs of a form, read from the models: what a spec may say, the form offers.

A group is a nested model. Mappings by metric, the space and the objectives have inputs of their own in the
form and are left out here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from nas_service.studies import StudySpec

Kind = Literal["integer", "number", "boolean", "choice", "list", "text"]
Schema = Mapping[str, Any]

# A bound beyond this is there to keep nonsense out; nobody comes near it.
MET = 100_000

_GROUP_WORDS = {
    "search": "How candidates are proposed",
    "training": "Training",
    "training.recipe": "Recipe",
    "training.recipe.augmentation": "Augmentation",
    "budget": "Budget",
    "budget.stall": "Stop when it no longer pays",
    "confirm": "Confirm the front afterwards",
}
_KINDS: dict[str, Kind] = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
}


@dataclass(frozen=True, slots=True)
class SpecField:
    """One input."""

    # The field's path in the spec: "training.recipe.batch_size".
    path: str
    kind: Kind
    default: Any
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    # The minimum itself is not allowed.
    is_above: bool = False
    # Empty means null where the default is something else.
    is_nullable: bool = False
    hint: str = ""

    @property
    def words(self) -> str:
        """The field's name in words."""
        return _words(self.path)

    @property
    def bounds(self) -> str:
        """The smallest and largest value, in words; empty where there are none that a person could meet."""
        low = "" if self.minimum is None else f"{self.minimum:,g}"
        high = "" if self.maximum is None or self.maximum > MET else f"{self.maximum:,g}"
        if low and high:
            return f"{low} to {high}"
        if high:
            return f"at most {high}"
        return f"{'more than' if self.is_above else 'at least'} {low}" if low else ""


@dataclass(frozen=True, slots=True)
class SpecGroup:
    """The inputs of one nested model."""

    path: str
    fields: tuple[SpecField, ...]
    # The group may be missing altogether; `{}` then asks for its defaults.
    is_optional: bool
    hint: str = ""

    @property
    def words(self) -> str:
        """The group's name in words."""
        return _GROUP_WORDS.get(self.path, _words(self.path))


@lru_cache
def spec_groups() -> tuple[SpecGroup, ...]:
    """Return every group of a spec, outer ones first."""
    schema = StudySpec.model_json_schema()
    return tuple(_groups(schema, schema["$defs"], "", is_optional=False))


def spec_field(path: str) -> SpecField:
    """Return the field of a path; raises `KeyError` where there is none."""
    return {field.path: field for group in spec_groups() for field in group.fields}[path]


def _groups(schema: Schema, defs: Schema, path: str, *, is_optional: bool) -> Iterator[SpecGroup]:
    fields, inner = [], []
    for name, given in schema["properties"].items():
        below = f"{path}.{name}" if path else name
        known, is_nullable = _without_null(given)
        if "$ref" in known:
            inner.append((defs[known["$ref"].rpartition("/")[2]], below, is_nullable))
        elif (field := _field(known, given, below, is_nullable)) is not None:
            fields.append(field)
    if path:
        yield SpecGroup(path, tuple(fields), is_optional, schema.get("description", ""))
    for part, below, is_nullable in inner:
        yield from _groups(part, defs, below, is_optional=is_nullable)


def _without_null(given: Schema) -> tuple[Schema, bool]:
    """Return what a field holds where it is not null, and whether it may be null."""
    kinds = given.get("anyOf")
    if kinds is None:
        return given, False
    known = [kind for kind in kinds if kind.get("type") != "null"]
    return (known[0] if len(known) == 1 else {}), len(known) < len(kinds)


def _field(known: Schema, given: Schema, path: str, is_nullable: bool) -> SpecField | None:
    kind: Kind
    if "enum" in known:
        kind = "choice"
    elif known.get("type") in _KINDS:
        kind = _KINDS[known["type"]]
    elif known.get("type") == "string":
        kind = "text"
    else:
        return None
    return SpecField(
        path=path,
        kind=kind,
        default=given.get("default"),
        choices=tuple(str(value) for value in known.get("enum", ())),
        minimum=known.get("minimum", known.get("exclusiveMinimum")),
        maximum=known.get("maximum", known.get("exclusiveMaximum")),
        is_above="exclusiveMinimum" in known,
        is_nullable=is_nullable,
        hint=given.get("description", ""),
    )


def _words(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ").capitalize()
