"""Bringing the parts of two sequences together so that the least differs."""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Literal, TypeVar

Part = TypeVar("Part")
# Places in the old and in the new sequence; None on the side that has no counterpart.
Pair = tuple[int | None, int | None]
_Way = Literal["both", "old", "new"]
_Costs = dict[tuple[int, int], tuple[int, _Way]]


def aligned(
    olds: Sequence[Part],
    news: Sequence[Part],
    between: Callable[[Part, Part], int],
    size: Callable[[Part], int],
) -> tuple[int, list[Pair]]:
    """Align two sequences that keep their order (Needleman and Wunsch 1970).

    Args:
        olds: The old parts.
        news: The new parts.
        between: What differs between two parts.
        size: What a part without a counterpart counts.

    Returns:
        What differs in all, and the pairs in order.
    """
    costs: _Costs = {(0, 0): (0, "both")}
    for i in range(len(olds) + 1):
        for j in range(len(news) + 1):
            ways: list[tuple[int, _Way]] = []
            if i and j:
                ways.append((costs[i - 1, j - 1][0] + between(olds[i - 1], news[j - 1]), "both"))
            if i:
                ways.append((costs[i - 1, j][0] + size(olds[i - 1]), "old"))
            if j:
                ways.append((costs[i, j - 1][0] + size(news[j - 1]), "new"))
            if ways:
                costs[i, j] = min(ways, key=lambda way: way[0])
    return costs[len(olds), len(news)][0], _traced(costs, len(olds), len(news))


def matched(
    olds: Sequence[Part],
    news: Sequence[Part],
    between: Callable[[Part, Part], int],
    size: Callable[[Part], int],
) -> tuple[int, list[Pair]]:
    """Pair the parts of two short sequences, whatever their order; arguments and answer as of `aligned`.

    Pairs come in the order of the new parts, what is removed last; ties leave parts at their places. All ways
    are tried: 24 for four parts.
    """

    def cost(before: int, after: int) -> int:
        if before >= len(olds):
            return size(news[after])
        return size(olds[before]) if after >= len(news) else between(olds[before], news[after])

    orders = permutations(range(max(len(olds), len(news))))
    total, order = min(
        ((sum(cost(before, after) for after, before in enumerate(order)), order) for order in orders),
        key=lambda way: way[0],
    )
    pairs: list[Pair] = [
        (before if before < len(olds) else None, after if after < len(news) else None)
        for after, before in enumerate(order)
    ]
    return total, pairs


def _traced(costs: _Costs, i: int, j: int) -> list[Pair]:
    pairs: list[Pair] = []
    while i or j:
        way = costs[i, j][1]
        i, j = i - (way != "new"), j - (way != "old")
        pairs.append((None if way == "new" else i, None if way == "old" else j))
    return pairs[::-1]
