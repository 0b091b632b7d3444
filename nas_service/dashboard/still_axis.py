"""One axis of a still picture: which values it shows, where they lie, and round numbers along it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

# Of the values' span, beyond the outermost ones.
_MARGIN = 0.05
_TICKS = 6
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class StillAxis:
    """A linear axis.

    Args:
        low: The first value shown.
        high: The last value shown.
        begin: Where `low` lies, in pixels.
        end: Where `high` lies; smaller than `begin` on an axis that points upwards.
        layout: The axis of the figure.
    """

    low: float
    high: float
    begin: float
    end: float
    layout: dict[str, Any]

    @property
    def title(self) -> str:
        return str(self.layout.get("title", {}).get("text", ""))

    def place(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def along(self, share: float) -> float:
        """Where a share of the axis ends, in pixels."""
        return self.begin + share * (self.end - self.begin)

    def shows(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[tuple[float, str]]:
        """Values with their texts: those the figure names, else round ones."""
        if "tickvals" in self.layout:
            named = zip(self.layout["tickvals"], self.layout["ticktext"], strict=True)
            return [(value, str(text)) for value, text in named if self.shows(value)]
        step = _round_step((self.high - self.low) / _TICKS)
        first = floor(self.low / step)
        values = [round(number * step, 12) for number in range(first, first + 2 * _TICKS + 4)]
        return [(value, self._text(value, step)) for value in values if self.shows(value)]

    def _text(self, value: float, step: float) -> str:
        form = str(self.layout.get("tickformat", ""))
        share = 100 if form.endswith("%") else 1
        decimals = max(0, -floor(log10(share * step) + 1e-9))
        if form.endswith("s"):
            for unit, prefix in _PREFIXES:
                if abs(value) >= unit:
                    return f"{value / unit:g}{prefix}"
        return f"{share * value:,.{decimals}f}{'%' if share == 100 else ''}"


def shown_part(layout: dict[str, Any], values: Sequence[float]) -> tuple[float, float]:
    """The first and last value that an axis shows: the figure's own, else those of its points."""
    if "range" in layout:
        low, high = layout["range"]
        return float(low), float(high)
    known = [value for value in values if isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if layout.get("rangemode") == "tozero":
        low, high = min(low, 0.0), max(high, 0.0)
    margin = _MARGIN * ((high - low) or abs(high) or 1.0)
    return (low if low == 0.0 else low - margin), high + margin


def _round_step(step: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is no smaller than `step`."""
    unit = 10.0 ** floor(log10(step))
    return next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= step * (1 - 1e-9))
