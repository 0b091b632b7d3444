"""Axes of a plot of metrics: which part to show, how to label it, and where the limits lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from nas_service.dashboard.wording import label, limit_text
from nas_service.metrics import METRICS, QUALITIES
from nas_service.studies import Constraint, StudySpec

FITS = "#009E73"
_TICKS = {"latency_ms": "~g", **dict.fromkeys(QUALITIES, ".1%")}
_MARGIN = 0.06
# A limit this far outside of the data, as a share of their span, is not worth squeezing the data for.
_REACH = 0.6
# Times the smallest: prices that reach further would crowd at the cheap end of a linear axis.
_LINEAR_UP_TO = 10.0
_MOST_DECADES = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """A metric and the part of it that is shown, in its unit; None leaves the part to plotly."""

    metric: str
    range: tuple[float, float] | None
    is_log: bool = False

    @classmethod
    def over(cls, metric: str, values: Sequence[float], limit: Constraint | None) -> "Axis":
        """Return the axis that shows the values, logarithmic where prices span more than a decade."""
        is_price = METRICS[metric].kind != "quality" and bool(values) and min(values) > 0
        if not is_price or max(values) <= _LINEAR_UP_TO * min(values):
            return cls(metric, view_range(metric, values, limit))
        return cls(metric, _log_range(values, limit), is_log=True)

    def coordinate(self, value: float) -> float:
        """Where plotly looks for a value in a range or an annotation, which it wants as exponents."""
        return log10(value) if self.is_log else value


def view_range(metric: str, values: Sequence[float], limit: Constraint | None) -> tuple[float, float] | None:
    """The part of an axis that holds the values, and the limit where it is near.

    Infeasible candidates are often ten times too large: a range over them would squeeze the rest.
    """
    if not values:
        return None
    low, high = _with_room(values, [bound for bound in _bounds(limit) if bound is not None])
    floor = 0.0 if METRICS[metric].kind != "quality" else float("-inf")
    return max(low, floor), high


def _log_range(values: Sequence[float], limit: Constraint | None) -> tuple[float, float]:
    bounds = [log10(bound) for bound in _bounds(limit) if bound is not None and bound > 0]
    low, high = _with_room([log10(value) for value in values], bounds)
    return 10**low, 10**high


def _bounds(limit: Constraint | None) -> tuple[float | None, ...]:
    return (limit.max, limit.min) if limit else ()


def _with_room(values: Sequence[float], bounds: Sequence[float]) -> tuple[float, float]:
    """The ends of the values and of the bounds near them, with a margin."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) * 0.1 or 1.0
    for bound in bounds:
        if low - _REACH * span <= bound <= high + _REACH * span:
            low, high = min(low, bound), max(high, bound)
    margin = _MARGIN * ((high - low) or span)
    return low - margin, high + margin


def tick_format(metric: str) -> str:
    """The form of a metric's ticks, as plotly reads it."""
    return _TICKS.get(metric, "~s")


def axis_layout(axis: Axis) -> dict[str, Any]:
    """The axis as plotly reads it: a title with its unit, ticks in the metric's form."""
    unit = METRICS[axis.metric].unit
    title = f"{label(axis.metric)} ({unit})" if unit else label(axis.metric)
    layout: dict[str, Any] = {"title": {"text": title}, "tickformat": tick_format(axis.metric)}
    if axis.is_log:
        layout |= {"type": "log", "dtick": _log_step(axis.range)}
    if axis.range is not None:
        layout["range"] = [axis.coordinate(end) for end in axis.range]
    return layout


def _log_step(shown: tuple[float, float] | None) -> str | int:
    """1, 2 and 5 of each decade, in plotly's words, or its power alone: more would run into each other."""
    decades = log10(shown[1] / shown[0]) if shown else 0.0
    return "D2" if decades <= _MOST_DECADES else 1


def limit_shapes(spec: StudySpec, x: Axis, y: Axis) -> list[dict[str, Any]]:
    """A dashed line for each limit in view, and a tint where both axes keep theirs."""
    lines = [_line(direction, bound) for direction, bound, _ in _limits_in_view(spec, x, y)]
    return [_tint(spec, x, y), *lines] if lines and x.range and y.range else lines


def limit_labels(spec: StudySpec, x: Axis, y: Axis) -> list[dict[str, Any]]:
    """A few words at the end of each limit's line."""
    return [
        {
            "text": text,
            direction: {"x": x, "y": y}[direction].coordinate(bound),
            f"{direction}ref": direction,
            # The lower right corner: what costs most and gives least is seldom there.
            ("y" if direction == "x" else "x"): 0 if direction == "x" else 1,
            ("yref" if direction == "x" else "xref"): "y domain" if direction == "x" else "x domain",
            "xanchor": "right",
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 11},
        }
        for direction, bound, text in _limits_in_view(spec, x, y)
    ]


def _limits_in_view(spec: StudySpec, x: Axis, y: Axis) -> list[tuple[str, float, str]]:
    """Axis, bound and words of each limit that lies in the shown part."""
    found = []
    for direction, axis in (("x", x), ("y", y)):
        limit = spec.constraints.get(axis.metric)
        if limit is None or axis.range is None:
            continue
        low, high = axis.range
        for sign, bound in (("at most", limit.max), ("at least", limit.min)):
            if bound is not None and low <= bound <= high:
                found.append((direction, bound, f"{sign} {limit_text(axis.metric, bound, limit.at)}"))
    return found


def _line(direction: str, bound: float) -> dict[str, Any]:
    across = "y" if direction == "x" else "x"
    return {
        "type": "line",
        "layer": "below",
        f"{direction}ref": direction,
        f"{direction}0": bound,
        f"{direction}1": bound,
        f"{across}ref": f"{across} domain",
        f"{across}0": 0,
        f"{across}1": 1,
        "line": {"color": FITS, "width": 1.5, "dash": "dash"},
    }


def _tint(spec: StudySpec, x: Axis, y: Axis) -> dict[str, Any]:
    x0, x1 = _kept(x, spec.constraints.get(x.metric))
    y0, y1 = _kept(y, spec.constraints.get(y.metric))
    return {
        "type": "rect",
        "layer": "below",
        "xref": "x",
        "yref": "y",
        "x0": x0,
        "x1": x1,
        "y0": y0,
        "y1": y1,
        "fillcolor": "rgba(0,158,115,0.07)",
        "line": {"width": 0},
    }


def _kept(axis: Axis, limit: Constraint | None) -> tuple[float, float]:
    """The part of the shown range that keeps the limit."""
    assert axis.range is not None
    low, high = axis.range
    if limit is None:
        return low, high
    return max(low, low if limit.min is None else limit.min), min(
        high, high if limit.max is None else limit.max
    )
