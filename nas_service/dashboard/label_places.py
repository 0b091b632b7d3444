"""Where a plot has room for the words at some of its points: beside what is drawn, not over it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from typing import Any

Figure = dict[str, Any]
Spot = tuple[float, float]

# Of the plot, in pixels: smaller than on most screens, so that what fits here fits there.
_WIDTH, _HEIGHT = 520.0, 330.0
_CHARACTER, _LINE = 6.0, 15.0
# From a point to the middle of its words, the best first; pixels go down. Above a front nothing is better.
_DIRECTIONS = ((-20, -18), (22, 26), (30, -20), (48, 8), (-30, 26), (0, -28))
_OFFSETS = tuple(
    (reach * across, reach * down) for reach in (1, 1.6, 2.4, 3.4) for across, down in _DIRECTIONS
)
# Points along each step of a line.
_ALONG = 8


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle of some words."""

    x: float
    y: float
    width: float

    def holds(self, spot: Spot) -> bool:
        return abs(spot[0] - self.x) < self.width / 2 + 4 and abs(spot[1] - self.y) < _LINE / 2 + 4

    def meets(self, other: "Box") -> bool:
        return abs(self.x - other.x) < (self.width + other.width) / 2 and abs(self.y - other.y) < _LINE

    def is_inside(self) -> bool:
        half = self.width / 2
        return half < self.x < _WIDTH - half and _LINE / 2 < self.y < _HEIGHT - _LINE / 2


def offsets(figure: Figure, labels: Sequence[tuple[Spot, str]]) -> list[Spot]:
    """Return for each label how far its words lie from its point, in pixels to the right and down.

    Args:
        figure: A flat plot of scatter traces with the ranges of both axes.
        labels: The coordinates of a point, and its words.
    """
    place = _placing(figure["layout"])
    drawn = [place(spot) for spot in _drawn(figure)]
    taken: list[Box] = []
    found = []
    for values, words in labels:
        x, y = place(values)
        boxes = {
            (across, down): Box(x + across, y + down, _CHARACTER * len(words)) for across, down in _OFFSETS
        }
        best = min(boxes, key=lambda offset: _cost(boxes[offset], drawn, taken))
        taken.append(boxes[best])
        found.append(best)
    return found


def _cost(box: Box, drawn: Sequence[Spot], taken: Sequence[Box]) -> int:
    """How much a place hides; what leaves the plot is the worst."""
    outside = 0 if box.is_inside() else 1000
    return outside + 100 * sum(map(box.meets, taken)) + sum(map(box.holds, drawn))


def _drawn(figure: Figure) -> Iterator[Spot]:
    """The points of all traces in the plot itself, and some along the steps of lines."""
    for trace in figure["data"]:
        if trace.get("yaxis", "y") != "y":
            continue
        spots = list(zip(trace["x"], trace["y"], strict=True))
        yield from spots
        if "lines" in trace["mode"]:
            yield from _along(spots, trace["line"].get("shape", "linear"))


def _along(spots: Sequence[Spot], shape: str) -> Iterator[Spot]:
    for (x0, y0), (x1, y1) in pairwise(spots):
        corner = (x1, y0) if shape == "hv" else (x0, y1)
        for number in range(1, _ALONG):
            share = number / _ALONG
            yield x0 + share * (corner[0] - x0), y0 + share * (corner[1] - y0)
            yield corner[0] + share * (x1 - corner[0]), corner[1] + share * (y1 - corner[1])


def _placing(layout: Figure) -> Callable[[Spot], Spot]:
    """Return what turns coordinates into pixels from the upper left corner."""

    def share(name: str, value: float) -> float:
        axis = layout[name]
        low, high = axis["range"]
        if axis.get("type") == "log":
            value = log10(value) if value > 0 else low
        return float((value - low) / (high - low))

    return lambda spot: (_WIDTH * share("xaxis", spot[0]), _HEIGHT * (1 - share("yaxis", spot[1])))
