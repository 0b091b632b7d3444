"""A typical member of every family, and the page of all of them: `python -m search_spaces.families.pictures`.

Writes docs/families.md and docs/images/families/NAME.svg, below the folder that is given or the current one.
"""

import sys
from functools import lru_cache
from pathlib import Path

from search_spaces import families
from search_spaces.architecture import Architecture
from search_spaces.cost import analyse
from search_spaces.diagram import summary, svg
from search_spaces.random_trial import RandomTrial
from search_spaces.svg_file import standalone

PAGE = Path("docs/families.md")
FOLDER = Path("docs/images/families")
EXAMPLE_CLASSES = 10
# Input of the families that are not made for small colour images.
_SHAPES: dict[str, tuple[int, ...]] = {}
_USUAL_SHAPE = (3, 32, 32)
_SAMPLES, _MIDDLING = 15, 5

_HEAD = """# Families

A family is a search space with a name. A study searches one by `space: NAME`; `nas family show NAME` prints
it as YAML to copy and edit. Each picture is a typical member: of {samples} drawn at random, the {middling} in
the middle by number of parameters, and of these the one with the most branches. This page is written by
`python -m search_spaces.families.pictures`.

| family | what it is | combinations |
| --- | --- | --- |
"""
_SECTION = """
## {name}

{summary}.

Source: {source}.

Drawn for an input of {shape}: {params:,} parameters, {macs:,} MACs.

`{line}`

![A typical member of {name}](images/families/{name}.svg)
"""


def shape_for(family: str) -> tuple[int, ...]:
    """Return the (channels, *spatial) of an input that suits a family."""
    return _SHAPES.get(family, _USUAL_SHAPE)


@lru_cache
def typical(family: str) -> Architecture:
    """Return a typical member of a family: neither small nor large, and of these one with many branches."""
    space = families.get(family).space
    drawn = [space.sample(RandomTrial(seed), shape_for(family), EXAMPLE_CLASSES) for seed in range(_SAMPLES)]
    by_size = sorted(drawn, key=lambda member: analyse(member).params)
    first = (_SAMPLES - _MIDDLING) // 2
    return max(by_size[first : first + _MIDDLING], key=_branches)


def documents() -> dict[Path, str]:
    """Return the text of the page and of every picture, by path."""
    names = families.names()
    pictures = {FOLDER / f"{name}.svg": standalone(svg(typical(name))) for name in names}
    rows = "".join(map(_row, names))
    head = _HEAD.format(samples=_SAMPLES, middling=_MIDDLING)
    return {PAGE: head + rows + "".join(map(_section, names)), **pictures}


def main(arguments: list[str]) -> None:
    """Write all documents, and take away pictures of families that are gone."""
    root = Path(arguments[0] if arguments else ".")
    written = documents()
    for path, text in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path in (root / FOLDER).glob("*.svg"):
        if path.relative_to(root) not in written:
            path.unlink()


def _branches(member: Architecture) -> int:
    return sum(len(stage.branches) for stage in member.stages)


def _row(name: str) -> str:
    family = families.get(name)
    return f"| [`{name}`](#{name}) | {family.summary} | {family.space.size():,} |\n"


def _section(name: str) -> str:
    family, member = families.get(name), typical(name)
    cost = analyse(member)
    return _SECTION.format(
        name=name,
        summary=family.summary.rstrip("."),
        source=family.source.rstrip("."),
        shape=" × ".join(map(str, member.input_shape)),
        params=cost.params,
        macs=cost.macs,
        line=summary(member),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
