"""From one branch to its layers, and the branch's figures in one piece."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from search_spaces.branch import Branch
from search_spaces.graph import INPUT, GraphBuilder, InsideBranch
from search_spaces.layers.layer import Counts, Reach, Shape, figures, summed
from search_spaces.layers.merging import Concat
from search_spaces.layers.normalisation import norm_layer
from search_spaces.layers.pointwise import activation_layer
from search_spaces.walks import Seen, Step, peak_elements, seen_behind


class Style(NamedTuple):
    """What a branch takes from its stage."""

    strides: bool
    norm: str
    activation: str
    branch_activation: bool
    is_dense: bool


def lower_branch(builder: GraphBuilder, name: str, branch: Branch, style: Style, node: int) -> int:
    """Add a branch's layers behind a node and return the last one's index."""
    inside = InsideBranch(builder, style.norm, style.activation, style.branch_activation)
    strided = branch.strided if style.strides else 0
    maps: list[int] = []
    for number, operation in enumerate(branch.operations, start=1):
        source = node
        if maps:
            source = maps[-1]
            if style.is_dense:
                source = builder.add(f"{name}.inputs{number}", Concat(), node, *maps)
        label = f"{name}.{operation.kind}{number}"
        last = operation.lower(inside, label, source, 2 if number == strided else 1)
        maps.append(_activated(builder, name, number, style, last))
    if style.is_dense and len(maps) > 1:
        return builder.add(f"{name}.maps", Concat(), *maps)
    return maps[-1]


def _activated(builder: GraphBuilder, name: str, number: int, style: Style, node: int) -> int:
    if not style.branch_activation:
        return node
    norm = norm_layer(style.norm, builder.channels(node))
    if norm:
        node = builder.add(f"{name}.norm{number}", norm, node)
    return builder.add(f"{name}.activation{number}", activation_layer(style.activation), node)


class Piece(NamedTuple):
    """A branch's figures as if it were one layer."""

    # False for the identity, whose output is its input.
    has_layers: bool
    shape: Shape
    size: int
    counts: Counts
    window: tuple[Reach, ...] | None
    inside: tuple[int, int]


@lru_cache(maxsize=2**17)
def branch_piece(branch: Branch, style: Style, shape: Shape) -> Piece:
    """Return the figures of a branch behind a map; remembered, for most branches come back."""
    builder = GraphBuilder(shape)
    last = lower_branch(builder, "branch", branch, style, INPUT)
    nodes = builder.nodes
    parts = [figures(node.layer, node.input_shapes) for node in nodes]
    size = prod(shape)
    steps: list[Step] = [
        (tuple([source + 1 for source in node.inputs]), part.elements, node.layer.in_place, None)
        for node, part in zip(nodes, parts, strict=True)
    ]
    inside = tuple(peak_elements(size, steps, keeps_input=keeps) - size for keeps in (True, False))
    out = builder.shape(last)
    return Piece(
        has_layers=bool(nodes),
        shape=out,
        size=prod(out),
        counts=summed([part.counts for part in parts]),
        window=_window(builder, last, len(shape) - 1),
        inside=(inside[0], inside[1]),
    )


def _window(builder: GraphBuilder, last: int, axes: int) -> tuple[Reach, ...] | None:
    one = (1,) * axes
    seen: dict[int, Seen | None] = {INPUT: Seen(one, one, one)}
    for index, node in enumerate(builder.nodes):
        window = figures(node.layer, node.input_shapes).window
        seen[index] = seen_behind([seen[other] for other in node.inputs], window)
    result = seen[last]
    assert result is not None
    return None if result == seen[INPUT] else tuple(zip(*result, strict=True))


def running_order(pieces: Sequence[Piece]) -> list[int]:
    """Return the order in which running the branches of a stage needs least memory.

    The branch with the largest difference between what it needs while it runs and what it leaves goes first
    (Liu 1987, "An application of generalized tree pebbling to sparse matrix factorization").
    """
    if len(pieces) == 1:
        return [0]
    return sorted(range(len(pieces)), key=lambda index: pieces[index].size - pieces[index].inside[0])
