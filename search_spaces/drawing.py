"""A small SVG canvas: presentation attributes and classes only, every text escaped.

Everything is drawn in currentColor at different opacities, so a picture takes the colour of the page's text
in light and dark themes; a page may recolour by class.
"""

from html import escape
from typing import Literal

from search_spaces.marks import NO_MARKS, Marks

# Of an average letter, as a share of the font size.
CHARACTER_WIDTH = 0.54
Anchor = Literal["start", "middle", "end"]


class Canvas:
    """Collects shapes; y grows downwards, units are pixels at natural size.

    Args:
        width: How wide it is.
        marks: What is to be marked, for whoever draws on it.
    """

    def __init__(self, width: int, marks: Marks = NO_MARKS) -> None:
        self.width = width
        self.marks = marks
        self._shapes: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        name: str,
        *,
        fill: float = 0.0,
        radius: float = 6,
        color: str = "currentColor",
        is_marked: bool = False,
    ) -> None:
        """A rounded rectangle; `fill` is the opacity of its inside, which has `color`."""
        edge = 'stroke-opacity="0.9" stroke-width="2.5"' if is_marked else 'stroke-opacity="0.35"'
        self._shapes.append(
            f'<rect class="{escape(name)}{" marked" if is_marked else ""}" x="{x:g}" y="{y:g}"'
            f' width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{color}" fill-opacity="{fill:.3g}"'
            f' stroke="currentColor" {edge}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: float = 12,
        room: float = 1000,
        anchor: Anchor = "middle",
        bold: bool = False,
        faint: bool = False,
    ) -> None:
        """A line of text whose baseline is at y, smaller where `room` is too narrow for it."""
        size = min(size, room / (len(content) * CHARACTER_WIDTH))
        weight = ' font-weight="600"' if bold else ""
        opacity = ' fill-opacity="0.75"' if faint else ""
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:.3g}" text-anchor="{anchor}" fill="currentColor"'
            f"{weight}{opacity}>{escape(content)}</text>"
        )

    def path(self, description: str, name: str) -> None:
        """A line along an SVG path description."""
        self._shapes.append(
            f'<path class="{escape(name)}" d="{escape(description)}" fill="none" stroke="currentColor"'
            ' stroke-opacity="0.55" stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round"/>'
        )

    def arrow(self, x: float, top: float, bottom: float) -> None:
        """A vertical line that ends in an arrowhead."""
        self.path(
            f"M{x:g} {top:g}V{bottom:g}M{x - 4:g} {bottom - 5:g}L{x:g} {bottom:g}L{x + 4:g} {bottom - 5:g}",
            "flow",
        )

    def circle(self, x: float, y: float, radius: float, name: str, *, is_marked: bool = False) -> None:
        """A ring, thick where it is marked."""
        edge = "0.9" if is_marked else "0.55"
        self._shapes.append(
            f'<circle class="{escape(name)}{" marked" if is_marked else ""}" cx="{x:g}" cy="{y:g}"'
            f' r="{radius:g}" fill="none" stroke="currentColor"'
            f' stroke-opacity="{edge}" stroke-width="{3 if is_marked else 1.5}"/>'
        )

    def render(self, height: float, title: str, description: str) -> str:
        """Return the whole picture, `height` high, with a title and a description for screen readers."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="architecture-diagram" role="img"'
            f' viewBox="0 0 {self.width} {height:g}" width="{self.width}" height="{height:g}"'
            f' font-family="system-ui, sans-serif" color="currentColor">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(self._shapes)}</svg>"
        )
