"""Walks along layers in execution order: receptive fields, and memory alive at once."""

from collections.abc import Sequence
from typing import NamedTuple

from search_spaces.layers.layer import Reach


class Seen(NamedTuple):
    """What one position of a map sees of the input, an axis each, over all paths from map to map."""

    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    # Distance in the input between neighbours of the map.
    step: tuple[int, ...]


def merged(sources: Sequence[Seen | None]) -> Seen | None:
    """Return what a layer sees of several maps; those that are no maps do not count."""
    maps = [source for source in sources if source is not None]
    if len(maps) < 2:
        return maps[0] if maps else None
    first = maps[0]
    if maps.count(first) == len(maps):
        return first
    smallest = tuple(map(min, *[source.smallest for source in maps]))
    return Seen(smallest, tuple(map(max, *[source.largest for source in maps])), first.step)


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
    if window is None:
        return merged(sources)
    return None if sources[0] is None else widened(sources[0], window)


class Step(NamedTuple):
    """What one step of the execution does to memory; sizes in elements."""

    # Positions of what it reads; 0 is the network's input, 1 the first step's output.
    inputs: tuple[int, ...]
    size: int
    # Whether it may write over its first input.
    in_place: bool
    # The most it needs at once beside all that was alive before, where its input stays and where it may go;
    # None for a plain layer, which needs its output.
    inside: tuple[int, int] | None = None


def peak_elements(input_size: int, steps: Sequence[Step], *, keeps_input: bool = False) -> int:
    """Return the largest number of elements alive at once.

    Args:
        input_size: Elements of the network's input, which is never written over.
        steps: In execution order.
        keeps_input: Whether the input stays alive to the end, for others to read.
    """
    sizes = [input_size, *[step.size for step in steps]]
    last = list(range(len(sizes)))
    for position, step in enumerate(steps, start=1):
        for source in step.inputs:
            last[source] = position
    if keeps_input:
        last[0] = len(sizes)
    peak = alive = input_size
    for position, (inputs, size, in_place, inside) in enumerate(steps, start=1):
        first = inputs[0]
        ends = last[first] == position
        if inside is not None:
            peak = max(peak, alive + inside[ends])
        elif in_place and first and ends:
            peak = max(peak, alive)
        else:
            peak = max(peak, alive + size)
        alive += size
        for source in inputs if len(inputs) == 1 else set(inputs):
            if last[source] == position:
                alive -= sizes[source]
    return peak
