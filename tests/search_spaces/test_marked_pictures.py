"""Pictures that mark in what a network differs from another."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from search_spaces import Architecture, RandomTrial, families
from search_spaces.diagram import svg
from search_spaces.difference import difference
from search_spaces.thumbnail import small_svg

THREE, FIVE, SEVEN = ([{"op": "conv", "channels": 16, "kernel": side}] for side in (3, 5, 7))
OLD: dict[str, Any] = {
    "input_shape": [1, 28, 28],
    "classes": 10,
    "stages": [
        {
            "branches": [THREE, FIVE],
            "channels": 16,
            "fusion": "add",
            "connection": "residual",
        }
    ],
}


def marked_classes(picture: str) -> list[str]:
    names = [name.removesuffix(" marked") for name in re.findall(r'class="([^"]* marked)"', picture)]
    return sorted(name.split()[0] for name in names)


@pytest.mark.parametrize(
    ("change", "marked"),
    [
        ({}, []),
        ({"fusion": "weighted"}, ["fusion"]),
        ({"connection": "weighted"}, ["residual"]),
        ({"norm": "none"}, ["step"]),
        ({"branches": [THREE, SEVEN]}, ["operation"]),
    ],
)
def test_the_picture_marks_what_differs(change: dict[str, object], marked: list[str]) -> None:
    old = Architecture.from_dict(OLD)
    new = Architecture.from_dict({**OLD, "stages": [{**OLD["stages"][0], **change}]})
    pointers = [item.after_at for item in difference(old, new) if item.after_at]
    assert marked_classes(svg(new, marked=pointers)) == marked
    assert len(marked_classes(small_svg(new, pointers))) == len(marked)


@pytest.mark.parametrize("family", families.names())
def test_every_family_has_small_pictures_that_differ_where_networks_do(family: str) -> None:
    space = families.get(family).space
    networks = [space.sample(RandomTrial(seed), (1, 28, 28), 10) for seed in range(4)]
    for network in networks:
        changes = difference(networks[0], network)
        picture = small_svg(network, [item.after_at for item in changes if item.after_at])
        ElementTree.fromstring(picture)
        is_marked = any(item.after_at for item in changes)
        assert (" marked" in picture) == is_marked
