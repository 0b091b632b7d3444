"""What the page of families shows: a typical member of each, its ranges in rows, its space as YAML."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from nas_service.service import Service
from nas_service.yaml_text import family_yaml
from search_spaces import analyse
from search_spaces.diagram import svg
from search_spaces.families.pictures import typical


def families(service: Service) -> list[dict[str, Any]]:
    """Return each family with its example."""
    return [
        {
            "family": family,
            "ranges": list(ranges(family.space)),
            "yaml": family_yaml(family),
            **_example(family.name),
        }
        for family in service.families()
    ]


@lru_cache
def _example(family: str) -> dict[str, Any]:
    """What never changes while the server runs, and takes longest."""
    member = typical(family)
    return {"example": member, "cost": analyse(member), "diagram": svg(member)}


def ranges(space: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field of a search space with what it may hold, in words.

    Example:
        >>> list(ranges({"depth": [1, 2], "stage": {"branch": {"kernel": 3}}}))
        [('depth', '1, 2'), ('stage.branch.kernel', '3')]
    """
    for name, value in space.items():
        field = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from ranges(value, f"{field}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            yield field, " | ".join(map(_branch, value))
        else:
            yield field, _choices(value, ", ")


def _branch(branch: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_choices(value, ' or ')}" for name, value in branch.items())


def _choices(value: Any, between: str) -> str:
    items = value if isinstance(value, list | tuple) else [value]
    return between.join(str(item).lower() if isinstance(item, bool) else str(item) for item in items)
