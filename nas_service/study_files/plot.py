"""Plots as SVG text alone, for files that open without any script: points, lines, axes, limits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 16, 52
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """Points of one kind, drawn as marks, as a step line, or as both."""

    name: str
    points: Sequence[tuple[float, float]]
    color: str
    # "circle", "cross", or "" for the line alone.
    mark: str = "circle"
    size: float = 3.0
    opacity: float = 1.0
    # Where a step line changes: "" draws no line, "after" goes across first, "before" upwards first.
    step: str = ""
    # Shown at each point where the mouse rests.
    titles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says and which part of it is shown."""

    title: str
    range: tuple[float, float]
    words: Callable[[float], str]
    # Where a limit lies.
    limits: Sequence[float] = ()


def svg(layers: Sequence[Layer], x: Axis, y: Axis, *, label: str) -> str:
    """Return the plot as one `<svg>` element with a legend beneath, without what lies outside the ranges."""
    parts = [_frame(x, y), *(_limit(x, y, value) for value in x.limits), *(_level(x, y, v) for v in y.limits)]
    parts += [_layer(layer, x, y) for layer in layers]
    legend = [_legend(layer, place) for place, layer in enumerate(layers)]
    height = HEIGHT + 26
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="currentColor">'
        f"{''.join(parts)}{''.join(legend)}</svg>"
    )


def nice_ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Return round places between two ends, some `count` of them.

    Example:
        >>> nice_ticks(0.0, 0.9)
        [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= rough * 0.999)
    first = math.ceil(low / size - 1e-9)
    return [round(place * size, 12) for place in range(first, math.floor(high / size + 1e-9) + 1)]


def around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Return a range that holds all values with some room; 0 to 1 where there are none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if low == high:
        return low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
    room = (high - low) * margin
    return low - room, high + room


def _x(axis: Axis, value: float) -> float:
    low, high = axis.range
    return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    low, high = axis.range
    return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def _frame(x: Axis, y: Axis) -> str:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="currentColor" opacity="0.5"/>']
    for tick in nice_ticks(*x.range):
        place = f"{_x(x, tick):.1f}"
        parts.append(f'<path d="M{place} {_TOP}V{bottom}" stroke="currentColor" opacity="0.12"/>')
        parts.append(_text(place, bottom + 18, "middle", x.words(tick)))
    for tick in nice_ticks(*y.range):
        place = f"{_y(y, tick):.1f}"
        parts.append(f'<path d="M{_LEFT} {place}H{right}" stroke="currentColor" opacity="0.12"/>')
        parts.append(_text(_LEFT - 8, _y(y, tick) + 4, "end", y.words(tick)))
    parts.append(_text((_LEFT + right) / 2, bottom + 40, "middle", x.title))
    turned = f'transform="rotate(-90 14 {HEIGHT / 2})"'
    parts.append(f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" {turned}>{escape(y.title)}</text>')
    return "".join(parts)


def _text(x: float | str, y: float, anchor: str, words: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _limit(x: Axis, y: Axis, value: float) -> str:
    if not x.range[0] <= value <= x.range[1]:
        return ""
    return f'<path d="M{_x(x, value):.1f} {_TOP}V{HEIGHT - _BOTTOM}" {_DASHED}/>'


def _level(x: Axis, y: Axis, value: float) -> str:
    if not y.range[0] <= value <= y.range[1]:
        return ""
    return f'<path d="M{_LEFT} {_y(y, value):.1f}H{WIDTH - _RIGHT}" {_DASHED}/>'


_DASHED = 'stroke="#009E73" stroke-width="1.5" stroke-dasharray="6 4" fill="none"'


def _layer(layer: Layer, x: Axis, y: Axis) -> str:
    titles = layer.titles or [""] * len(layer.points)
    inside = [
        ((_x(x, across), _y(y, upward)), title)
        for (across, upward), title in zip(layer.points, titles, strict=True)
        if x.range[0] <= across <= x.range[1] and y.range[0] <= upward <= y.range[1]
    ]
    line = _steps([point for point, _ in inside], layer) if layer.step else ""
    marks = "".join(_mark(layer, point, title) for point, title in inside) if layer.mark else ""
    return f'<g opacity="{layer.opacity:g}">{line}{marks}</g>'


def _steps(points: Sequence[tuple[float, float]], layer: Layer) -> str:
    if not points:
        return ""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for across, upward in points[1:]:
        path += f"H{across:.1f}V{upward:.1f}" if layer.step == "after" else f"V{upward:.1f}H{across:.1f}"
    return f'<path d="{path}" fill="none" stroke="{layer.color}" stroke-width="2"/>'


def _mark(layer: Layer, point: tuple[float, float], title: str) -> str:
    (x, y), size, color = point, layer.size, layer.color
    tag, attributes = {
        "circle": ("circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="{color}"'),
        "cross": (
            "path",
            f'd="M{x - size:.1f} {y - size:.1f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}'
            f'l{-2 * size:g} {2 * size:g}" stroke="{color}" stroke-width="1.5"',
        ),
    }[layer.mark]
    return (
        f"<{tag} {attributes}><title>{escape(title)}</title></{tag}>" if title else f"<{tag} {attributes}/>"
    )


def _legend(layer: Layer, place: int) -> str:
    left, top = _LEFT + 150 * place, HEIGHT + 8
    mark = _mark(layer, (left, top), "") if layer.mark else ""
    line = f'<path d="M{left - 8} {top}h16" stroke="{layer.color}" stroke-width="2"/>' if layer.step else ""
    return f'{line}{mark}<text x="{left + 14}" y="{top + 4}">{escape(layer.name)}</text>'
