"""What the pages of families show: members and what they cost, choices in rows, the space as YAML."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from nas_service.service import Service
from nas_service.views import FamilyView
from nas_service.yaml_text import family_yaml
from search_spaces import RandomTrial, SearchSpace, SearchSpaceError, analyse
from search_spaces import families as families_of_networks
from search_spaces.diagram import svg
from search_spaces.families.pictures import EXAMPLE_CLASSES, shape_for, typical
from search_spaces.thumbnail import small_svg

# Members drawn at random, for the list of all families and for the page of one.
DRAWN_FOR_LIST, DRAWN = 15, 100
# Whether a family is for a kind of data is tried on one of its kind.
TRIED_SHAPES = {
    "signals": (1, 1024),
    "images and spectrograms": (3, 32, 32),
    "volumes": (1, 16, 16, 16),
}


def families(service: Service) -> list[dict[str, Any]]:
    """Return each family with its typical member and the span of its sizes."""
    return [
        {"family": family, **_example(family.name), **_span(family.name, DRAWN_FOR_LIST)}
        for family in service.families()
    ]


def family(view: FamilyView) -> dict[str, Any]:
    """Return a family with its smallest, a typical and its largest member, and all its choices."""
    span = _span(view.name, DRAWN)
    members = [
        ("Smallest drawn", span["smallest"]),
        ("Typical", typical(view.name)),
        ("Largest drawn", span["largest"]),
    ]
    return {
        "family": view,
        "members": [
            {"words": words, "member": member, "cost": analyse(member), "diagram": svg(member)}
            for words, member in members
        ],
        "drawn": DRAWN,
        "ranges": list(ranges(view.space)),
        "yaml": family_yaml(view),
        **span,
    }


@lru_cache
def _example(family: str) -> dict[str, Any]:
    """What never changes while the server runs, and takes longest."""
    member = typical(family)
    return {"example": member, "cost": analyse(member), "picture": small_svg(member)}


@lru_cache(maxsize=64)
def _span(family: str, draws: int) -> dict[str, Any]:
    """What random members of a family cost for the input that suits it, and for which data the family is."""
    space = families_of_networks.get(family).space
    shape = shape_for(family)
    members = [space.sample(RandomTrial(seed), shape, EXAMPLE_CLASSES) for seed in range(draws)]
    costs = [analyse(member) for member in members]
    order = sorted(range(draws), key=lambda place: costs[place].params)
    return {
        "params": (costs[order[0]].params, costs[order[-1]].params),
        "macs": (min(cost.macs for cost in costs), max(cost.macs for cost in costs)),
        "input_shape": shape,
        "smallest": members[order[0]],
        "largest": members[order[-1]],
        "data": [words for words, tried in TRIED_SHAPES.items() if _fits(space, tried)],
    }


def _fits(space: SearchSpace, shape: tuple[int, ...]) -> bool:
    try:
        for seed in range(3):
            space.sample(RandomTrial(seed), shape, EXAMPLE_CLASSES)
    except SearchSpaceError:
        return False
    return True


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
