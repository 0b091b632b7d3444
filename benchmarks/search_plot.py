"""Curves with bands as one SVG picture, drawn without any library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 480
LEFT, TOP, RIGHT, BOTTOM = 64, 44, 190, 48
# Okabe and Ito's colours, which people tell apart who see few, and a ninth.
COLOURS = (
    "#0072b2",
    "#999999",
    "#e69f00",
    "#d55e00",
    "#009e73",
    "#56b4e9",
    "#000000",
    "#cc79a7",
    "#882255",
)
TICKS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """One line with the band around it."""

    name: str
    x: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def svg(title: str, curves: Sequence[Curve]) -> str:
    """Return a picture; a name that ends in "+ rungs" is drawn solid, another one dashed."""
    right = max(max(curve.x) for curve in curves)
    bottom = min(min(curve.low) for curve in curves)
    top = max(max(curve.high) for curve in curves)
    plane = _Plane(right, bottom, top if top > bottom else bottom + 1.0)
    families = list(dict.fromkeys(curve.name.removesuffix(" + rungs") for curve in curves))
    parts = [*_frame(title, plane)]
    for place, curve in enumerate(curves):
        colour = COLOURS[families.index(curve.name.removesuffix(" + rungs")) % len(COLOURS)]
        parts += _drawn(curve, colour, plane, place)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Plane:
    right: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.right

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def points(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))


def _frame(title: str, plane: _Plane) -> list[str]:
    parts = [f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>']
    for tick in range(TICKS + 1):
        value = plane.bottom + (plane.top - plane.bottom) * tick / TICKS
        y, x = plane.y(value), plane.right * tick / TICKS
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>',
            f'<text x="{plane.x(x):.1f}" y="{HEIGHT - 26}" text-anchor="middle">{x:.0f}</text>',
        ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">epochs trained</text>')
    return parts


def _drawn(curve: Curve, colour: str, plane: _Plane, place: int) -> list[str]:
    dash = "" if curve.name.endswith("+ rungs") else ' stroke-dasharray="5 4"'
    band = plane.points([*curve.x, *reversed(curve.x)], [*curve.high, *reversed(curve.low)])
    y = TOP + 18 * place
    return [
        f'<polygon points="{band}" fill="{colour}" fill-opacity="0.10"/>',
        f'<polyline points="{plane.points(curve.x, curve.middle)}" fill="none" stroke="{colour}" '
        f'stroke-width="2"{dash}/>',
        f'<line x1="{WIDTH - RIGHT + 12}" x2="{WIDTH - RIGHT + 40}" y1="{y}" y2="{y}" stroke="{colour}" '
        f'stroke-width="2"{dash}/>',
        f'<text x="{WIDTH - RIGHT + 46}" y="{y + 4}">{escape(curve.name)}</text>',
    ]
