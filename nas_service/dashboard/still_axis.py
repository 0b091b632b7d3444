"""One axis of a still picture: which values it shows, where they lie, and round numbers along it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

# Of the values' span, beyond the outermost ones.
_MARGIN = 0.05
_TICKS = 6
_MOST_DECADES = 3
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class StillAxis:
    """A linear axis, or a logarithmic one where the figure's is.

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
    def is_log(self) -> bool:
        return self.layout.get("type") == "log"

    @property
    def title(self) -> str:
        return str(self.layout.get("title", {}).get("text", ""))

    def place(self, value: float) -> float:
        """Where a value lies, in pixels."""
        if self.is_log and value <= 0:
            return self.begin
        low, high, place = (log10(each) if self.is_log else each for each in (self.low, self.high, value))
        return self.begin + (place - low) / (high - low) * (self.end - self.begin)

    def noted(self, coordinate: float) -> float:
        """The value that an annotation means, which on a logarithmic axis names an exponent."""
        return 10**coordinate if self.is_log else coordinate

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
        if self.is_log:
            return self._decades()
        step = self.layout.get("dtick") or _round_step((self.high - self.low) / _TICKS)
        first = floor(self.low / step)
        values = [round(number * step, 12) for number in range(first, first + 2 * _TICKS + 4)]
        return [(value, self._text(value, step)) for value in values if self.shows(value)]

    def _decades(self) -> list[tuple[float, str]]:
        """1, 2 and 5 times each power of ten; over many decades the powers alone."""
        first, last = floor(log10(self.low)), floor(log10(self.high))
        factors = (1, 2, 5) if last - first <= _MOST_DECADES else (1,)
        steps = [(factor, 10.0**power) for power in range(first, last + 1) for factor in factors]
        return [
            (factor * unit, self._text(round(factor * unit, 12), unit))
            for factor, unit in steps
            if self.shows(factor * unit)
        ]

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
        low, high = (10.0**end if layout.get("type") == "log" else float(end) for end in layout["range"])
        return low, high
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
