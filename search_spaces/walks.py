"""Walks along layers in execution order: receptive fields, and memory alive at once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from search_spaces.layers.layer import Reach


class Seen(NamedTuple):
    """What one position of a map sees of the input, an axis each, over all paths from map to map."""

    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    # Distance in the input between neighbours of the map.
    step: tuple[int, ...]


@lru_cache(maxsize=2**15)
def merged(sources: tuple[Seen | None, ...]) -> Seen | None:
    """Return what a layer sees of several maps; those that are no maps do not count."""
    maps = [source for source in sources if source is not None]
    if len(maps) < 2:
        return maps[0] if maps else None
    smallest = tuple(map(min, *[source.smallest for source in maps]))
    return Seen(smallest, tuple(map(max, *[source.largest for source in maps])), maps[0].step)


@lru_cache(maxsize=2**15)
def widened(seen: Seen, window: tuple[Reach, ...]) -> Seen:
    """Return what is seen through a window: an extent of k adds k - 1 steps."""
    smallest, largest, steps = [], [], []
    for small, large, step, (least, most, stride) in zip(*seen, window, strict=True):
        smallest.append(small + (least - 1) * step)
        largest.append(large + (most - 1) * step)
        steps.append(stride * step)
    return Seen(tuple(smallest), tuple(largest), tuple(steps))


def seen_behind(sources: Sequence[Seen | None], window: tuple[Reach, ...] | None) -> Seen | None:
    """Return what is seen behind a layer: through its window of the first map, or of all maps alike.

    A further input of a layer with a window, such as offsets, acts at each position by itself.
    """
    first = sources[0]
    if window is not None:
        return None if first is None else widened(first, window)
    return first if len(sources) == 1 else merged(tuple(sources))


# What one step of the execution does to memory, sizes in elements. First the positions of what it reads: 0
# is the network's input, 1 the first step's output. Then the size of its output, and whether it may write
# over its first input. Last the most it needs at once beside all that was alive before, where its input stays
# and where it may go; None for a plain layer, which needs its output. A plain tuple: there are many of them.
Step = tuple[tuple[int, ...], int, bool, tuple[int, int] | None]


def peak_elements(input_size: int, steps: Sequence[Step], *, keeps_input: bool = False) -> int:
    """Return the largest number of elements alive at once.

    Args:
        input_size: Elements of the network's input, which is never written over.
        steps: In execution order.
        keeps_input: Whether the input stays alive to the end, for others to read.
    """
    sizes = [input_size]
    last = [0]
    for position, step in enumerate(steps, start=1):
        sizes.append(step[1])
        last.append(position)
        for source in step[0]:
            last[source] = position
    if keeps_input:
        last[0] = len(sizes)
    peak = alive = input_size
    for position, (inputs, size, in_place, inside) in enumerate(steps, start=1):
        first = inputs[0]
        ends = last[first] == position
        if inside is not None:
            needed = alive + inside[ends]
        else:
            needed = alive if in_place and first and ends else alive + size
        if needed > peak:
            peak = needed
        alive += size
        if len(inputs) == 1:
            alive -= sizes[first] if ends else 0
            continue
        for source in set(inputs):
            if last[source] == position:
                alive -= sizes[source]
    return peak
