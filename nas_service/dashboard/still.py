"""A figure as a still picture: SVG that needs no script, for a page's first moment and for files.

Only presentation attributes, as the pages' policy demands, and the colour of the text around it.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from nas_service.dashboard.still_axis import StillAxis, shown_part

Figure = dict[str, Any]

_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 12.0, 12.0, 44.0
_DASHES = {"dot": "2 3", "dash": "6 4"}
_Marker = Callable[[float, float, float], str]
# Paths around a point, by its half size.
_MARKERS: dict[str, _Marker] = {
    "square": lambda x, y, r: f"M{x - r:g} {y - r:g}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z",
    "diamond": lambda x, y, r: f"M{x:g} {y - r:g}l{r:g} {r:g}l{-r:g} {r:g}l{-r:g} {-r:g}z",
    "triangle-up": lambda x, y, r: f"M{x:g} {y - r:g}l{r:g} {2 * r:g}h{-2 * r:g}z",
    "triangle-right": lambda x, y, r: f"M{x + r:g} {y:g}l{-2 * r:g} {r:g}v{-2 * r:g}z",
    "x": lambda x, y, r: f"M{x - r:g} {y - r:g}l{2 * r:g} {2 * r:g}M{x + r:g} {y - r:g}l{-2 * r:g} {2 * r:g}",
    "circle": lambda x, y, r: (
        f"M{x - r:g} {y:g}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0z"
    ),
}


def still(figure: Figure, name: str, *, width: int = 720, height: int = 420, most_points: int = 500) -> str:
    """Return a figure of scatter traces as SVG.

    Args:
        figure: As `nas_service.dashboard.figures` makes it.
        name: What it shows, for whoever does not see it.
        width: In pixels.
        height: In pixels.
        most_points: Of a trace without lines; of more, evenly chosen ones are drawn.

    Raises:
        ValueError: A trace is of another type.
    """
    return _Still(figure, width, height, most_points).render(name)


class _Still:
    def __init__(self, figure: Figure, width: int, height: int, most_points: int) -> None:
        strange = {trace["type"] for trace in figure["data"]} - {"scatter"}
        if strange:
            raise ValueError(f"no still picture of {', '.join(sorted(strange))}; only of scatter")
        self._traces = [_thinned(trace, most_points) for trace in figure["data"]]
        self._layout, self._width, self._height = figure["layout"], width, height
        self._across = self._axis("xaxis", _LEFT, width - _RIGHT)
        uppers = [name for name in self._layout if name.startswith("yaxis")]
        self._upward = {name.replace("axis", ""): self._axis(name, height - _BOTTOM, _TOP) for name in uppers}

    def render(self, name: str) -> str:
        parts = [*self._grid(), *self._shapes()]
        for trace in self._traces:
            parts += self._trace(trace)
        parts += self._words()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="still" role="img" aria-label="{escape(name)}"'
            f' viewBox="0 0 {self._width} {self._height}" font-family="system-ui, sans-serif" font-size="12"'
            f' fill="currentColor">{"".join(parts)}</svg>'
        )

    def _axis(self, name: str, begin: float, end: float) -> StillAxis:
        layout = self._layout[name]
        letter, own = name[0], name.replace("axis", "")
        values = [
            float(value)
            for trace in self._traces
            if letter == "x" or trace.get("yaxis", "y") == own
            for value in trace[letter]
            if value is not None
        ]
        low, high = shown_part(layout, values)
        first, last = layout.get("domain", (0, 1))
        span = end - begin
        return StillAxis(low, high, begin + first * span, begin + last * span, layout)

    def _grid(self) -> Iterator[str]:
        left, right = self._across.begin, self._across.end
        floor = max(axis.begin for axis in self._upward.values())
        for value, text in self._across.ticks():
            x = self._across.place(value)
            yield from (_rule(x, axis.begin, x, axis.end) for axis in self._upward.values())
            yield _text(x, floor + 16, text, "middle")
        for axis in self._upward.values():
            for value, text in axis.ticks():
                y = axis.place(value)
                yield _rule(left, y, right, y) if axis.layout.get("showgrid", True) else ""
                yield _text(left - 6, y + 4, text, "end")
            middle = axis.along(0.5)
            turned = f' transform="rotate(-90 14 {middle:g})"'
            yield _text(14, middle, axis.title, "middle", turned)
        yield _text((left + right) / 2, self._height - 8, self._across.title, "middle")

    def _shapes(self) -> Iterator[str]:
        """Lines and tints that lie below the points."""
        for shape in self._layout.get("shapes", ()):
            (x0, y0), (x1, y1) = (self._spot(shape, number) for number in "01")
            line = shape.get("line", {})
            if shape["type"] == "rect":
                fill = escape(shape.get("fillcolor", "none"))
                yield f'<path d="M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}z" fill="{fill}"/>'
            elif self._is_inside(shape):
                yield f'<path d="M{x0:g} {y0:g}L{x1:g} {y1:g}" fill="none"{_stroke(line)}/>'

    def _is_inside(self, shape: Figure) -> bool:
        """Whether a line lies in the shown part."""
        if shape.get("xref", "x") == "x" and not self._across.shows(shape["x0"]):
            return False
        axis = self._upward.get(shape.get("yref", "y"))
        return axis is None or axis.shows(shape["y0"])

    def _spot(self, item: Figure, number: str = "") -> tuple[float, float]:
        """Where a shape's corner or an annotation lies, whatever it refers to."""
        x, y = item[f"x{number}"], item[f"y{number}"]
        xref, yref = item.get("xref", "x"), item.get("yref", "y")
        axis = self._upward.get(yref.split()[0], self._upward["y"])
        across = self._across.place(x) if xref == "x" else self._across.along(x)
        return across, axis.place(y) if yref in self._upward else axis.along(y)

    def _noted(self, note: Figure) -> Figure:
        """An annotation with its place in the axes' units, as shapes and points have it."""
        axis = self._upward.get(note.get("yref", "y"))
        x = self._across.noted(note["x"]) if note.get("xref", "x") == "x" else note["x"]
        return {**note, "x": x, "y": axis.noted(note["y"]) if axis else note["y"]}

    def _trace(self, trace: Figure) -> Iterator[str]:
        axis = self._upward[trace.get("yaxis", "y")]
        spots = [
            (self._across.place(x), axis.place(y)) if self._across.shows(x) and axis.shows(y) else None
            for x, y in zip(trace["x"], trace["y"], strict=True)
        ]
        if "lines" in trace["mode"]:
            path = _steps([spot for spot in spots if spot], trace["line"].get("shape", "linear"))
            yield f'<path d="{path}" fill="none"{_stroke(trace["line"])}/>'
        yield from _error_bars(trace, axis, spots)
        if "markers" in trace["mode"]:
            yield from _marked(trace["marker"], spots)

    def _words(self) -> Iterator[str]:
        """Annotations; those with an arrow stand where it begins."""
        for note in self._layout.get("annotations", ()):
            x, y = self._spot(self._noted(note))
            if not _LEFT <= x <= self._width or not 0 <= y <= self._height:
                continue
            if note.get("showarrow"):
                ax, ay = note.get("ax", 0), note.get("ay", 0)
                yield f'<path d="M{x:g} {y:g}l{ax:g} {ay:g}"{_stroke({"color": note["arrowcolor"]})}/>'
                x, y = x + ax, y + ay + 11
            anchor = {"right": "end", "left": "start"}.get(note.get("xanchor", ""), "middle")
            yield _text(x, y - 3, note["text"], anchor)


def _thinned(trace: Figure, most: int) -> Figure:
    """A cloud's points evenly chosen, none of a line's."""
    count = len(trace["x"])
    if "lines" in trace["mode"] or count <= most:
        return trace
    kept = [number * count // most for number in range(most)]
    marker = {
        key: [value[number] for number in kept] if isinstance(value, list) else value
        for key, value in trace["marker"].items()
    }
    return {**trace, **{axis: [trace[axis][number] for number in kept] for axis in "xy"}, "marker": marker}


def _marked(marker: Figure, spots: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    symbols, sizes = (_each(marker[key], len(spots)) for key in ("symbol", "size"))
    opacity = marker.get("opacity", 1)
    kinds: dict[tuple[str, float], list[str]] = {}
    for spot, symbol, size in zip(spots, symbols, sizes, strict=True):
        if spot:
            shape = _MARKERS[symbol.removesuffix("-open")]
            kinds.setdefault((symbol, size), []).append(shape(round(spot[0], 1), round(spot[1], 1), size / 2))
    color = escape(marker["color"])
    for (symbol, _), shapes in kinds.items():
        is_hollow = symbol.endswith("-open") or symbol == "x"
        paint = f'fill="none" stroke="{color}" stroke-width="1.5"' if is_hollow else f'fill="{color}"'
        yield f'<path d="{"".join(shapes)}" {paint} opacity="{opacity:g}"/>'


def _error_bars(trace: Figure, axis: StillAxis, spots: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    bars = trace.get("error_y")
    if not bars:
        return
    for spot, y, deviation in zip(spots, trace["y"], bars["array"], strict=True):
        if spot and deviation is not None:
            top, bottom = axis.place(y + deviation), axis.place(y - deviation)
            line = _stroke({"color": bars["color"], "width": bars["thickness"]})
            yield f'<path d="M{spot[0]:g} {top:g}V{bottom:g}"{line}/>'


def _steps(spots: Sequence[tuple[float, float]], shape: str) -> str:
    """A line through all spots: straight, or by steps that go across ("hv") or up ("vh") first."""
    path = ""
    for x, y in spots:
        go = f"L{x:.1f} {y:.1f}"
        if path and shape != "linear":
            go = f"H{x:.1f}V{y:.1f}" if shape == "hv" else f"V{y:.1f}H{x:.1f}"
        path += go if path else f"M{x:.1f} {y:.1f}"
    return path or "M0 0"


def _each(value: Any, count: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * count


def _stroke(line: Figure) -> str:
    dashes = _DASHES.get(line.get("dash", ""))
    pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
    color = escape(line.get("color", "currentColor"))
    return f' stroke="{color}" stroke-width="{line.get("width", 1):g}"{pattern}'


def _rule(x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="currentColor" stroke-opacity="0.15"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>' if text else ""
