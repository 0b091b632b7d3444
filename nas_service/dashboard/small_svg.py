"""Small pictures for cards and tables: plain SVG whose colours come from the page's style sheet."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 160, 44
BINS = 24


def sparkline(points: Sequence[tuple[float, float]]) -> str:
    """Return a front as dots with a step line, the better upwards and the dearer to the right.

    Args:
        points: (across, up) of each member, both rising with what is dearer or better; a single one makes
            no picture.
    """
    if len(points) < 2:
        return ""
    ordered = sorted(points)
    across = _scaled([x for x, _ in ordered], 5, WIDTH - 5)
    up = _scaled([-y for _, y in ordered], 5, HEIGHT - 5)
    steps = [f"{across[0]:.1f},{up[0]:.1f}"]
    for place in range(1, len(ordered)):
        steps += [f"{across[place]:.1f},{up[place - 1]:.1f}", f"{across[place]:.1f},{up[place]:.1f}"]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in zip(across, up, strict=True))
    return _svg("spark", f'<polyline points="{" ".join(steps)}"/>{dots}')


def histogram(values: Sequence[float]) -> tuple[str, list[float]]:
    """Return a histogram on a logarithmic axis, and the values at its left end, middle and right end."""
    if not values:
        return "", []
    low, high = math.log(min(values)), math.log(max(values))
    if high - low < 0.02:
        low, high = low - 0.1, high + 0.1
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int((math.log(value) - low) / (high - low) * BINS))] += 1
    step, most = WIDTH / BINS, max(counts)
    heights = [count / most * (HEIGHT - 2) for count in counts]
    bars = "".join(
        f'<rect x="{place * step + 0.5:.1f}" y="{HEIGHT - height:.1f}" '
        f'width="{step - 1:.1f}" height="{height:.1f}"/>'
        for place, height in enumerate(heights)
        if height
    )
    ends = [math.exp(low), math.exp((low + high) / 2), math.exp(high)]
    return _svg("bins", bars), ends


def _scaled(values: Sequence[float], low: float, high: float) -> list[float]:
    least, most = min(values), max(values)
    if most == least:
        return [(low + high) / 2] * len(values)
    return [low + (value - least) / (most - least) * (high - low) for value in values]


def _svg(kind: str, content: str) -> str:
    # Bars may be stretched to the width that there is; dots would become ellipses.
    stretch = ' preserveAspectRatio="none"' if kind == "bins" else ""
    return f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}"{stretch} aria-hidden="true">{content}</svg>'
