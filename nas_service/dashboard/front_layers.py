"""What a plot of the front shows besides its points: confirmed figures, the control arm, marked members."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from nas_service.dashboard.axes import Axis, axis_layout, view_range
from nas_service.dashboard.cloud import Cloud
from nas_service.dashboard.figures import (
    DOMINATED,
    FRONT,
    INFEASIBLE,
    PRUNED,
    Figure,
    hover_template,
    point_text,
    wildcard,
)
from nas_service.dashboard.label_places import offsets
from nas_service.dashboard.wording import label, short_label, value_text
from nas_service.metrics import METRICS
from nas_service.views import FrontMember, TrialSummary

CONFIRMED, RANDOM = "#E69F00", "#56B4E9"
# Symbols of scatter3d are few.
_DEEP = (
    ("dominated", "dominated", "circle", DOMINATED, 2.5),
    ("beyond", "dominated", "circle-open", DOMINATED, 2.5),
    ("pruned", "pruned", "square", PRUNED, 3),
    ("infeasible", "infeasible", "x", INFEASIBLE, 2.5),
)


def confirmed(members: Sequence[FrontMember], x: str, y: str) -> Figure | None:
    """Means over seeds on the test part with their deviations; None where nothing is confirmed."""
    known = [(m, m.confirmed) for m in members if m.confirmed and y in m.confirmed.mean and x in m.values]
    if not known or METRICS[y].kind != "quality":
        return None
    # A single run has no deviation, which is not a deviation of nothing.
    deviations = [figures.deviation.get(y) for _, figures in known]
    texts = [
        f"test part, {figures.runs} run{'' if figures.runs == 1 else 's'}"
        + ("" if deviation is None else f", deviation {value_text(y, deviation)}")
        for (_, figures), deviation in zip(known, deviations, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "confirmed",
        "x": [member.values[x] for member, _ in known],
        "y": [figures.mean[y] for _, figures in known],
        "error_y": {"type": "data", "array": deviations, "color": CONFIRMED, "thickness": 1.5, "width": 5},
        "marker": {"color": CONFIRMED, "symbol": "square", "size": 8},
        "customdata": [[member.trial, member.number] for member, _ in known],
        "text": texts,
        "meta": {"count": len(known)},
        "hovertemplate": hover_template(x, y, "confirmed"),
    }


def random_arm(members: Sequence[FrontMember], x: str, y: str) -> Figure:
    """The front of what was drawn at random, as a dashed step line."""
    drawn = sorted(members, key=lambda member: member.values[x])
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "random",
        "x": [member.values[x] for member in drawn],
        "y": [member.values[y] for member in drawn],
        "line": {
            "color": RANDOM,
            "width": 1.5,
            "dash": "dash",
            "shape": "hv" if METRICS[x].goal == "min" else "vh",
        },
        "marker": {"color": RANDOM, "symbol": "square-open", "size": 7},
        "customdata": [[member.trial, member.number] for member in drawn],
        "text": [point_text(member.summary) for member in drawn],
        "meta": {"count": len(drawn)},
        "hovertemplate": hover_template(x, y, "best of the random arm"),
    }


def picks(
    figure: Figure, members: Sequence[FrontMember], names: Mapping[int, str], x: str, y: str
) -> list[dict[str, Any]]:
    """A word with an arrow at each of some members, by number, where the figure has room for it."""
    named = [member for member in members if member.number in names]
    places = offsets(
        figure, [((member.values[x], member.values[y]), names[member.number]) for member in named]
    )
    across, upward = (figure["layout"][name].get("type") == "log" for name in ("xaxis", "yaxis"))
    return [
        {
            # On a logarithmic axis plotly wants exponents of annotations, though not of points.
            "x": log10(member.values[x]) if across else member.values[x],
            "y": log10(member.values[y]) if upward else member.values[y],
            "text": names[member.number],
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 1,
            "arrowcolor": FRONT,
            "ax": ax,
            "ay": ay,
            "font": {"size": 11},
        }
        for member, (ax, ay) in zip(named, places, strict=True)
    ]


def deep(
    members: Sequence[FrontMember],
    cloud: Cloud,
    axes: tuple[str, str, str],
    *,
    show: frozenset[str],
    tied: Mapping[int, int],
    limits: Mapping[str, float],
) -> Figure:
    """The front of three metrics in space, with a dashed frame where each limit cuts it.

    Args:
        members: The front over all three.
        cloud: The other candidates.
        axes: Across, into the depth of the plot's ground, and upwards.
        show: Kinds of candidates beside the front.
        tied: Members that are no better than another beyond noise, by number.
        limits: The highest value allowed, by metric.
    """
    traces = []
    for name, kind, symbol, color, size in _DEEP:
        placed = [trial for trial in getattr(cloud, name) if all(axis in trial.metrics for axis in axes)]
        if kind in show and placed:
            trace = _deep_points(name, placed, axes, color=color, symbol=symbol, size=size)
            traces.append({**trace, "meta": {"count": len(placed)}})
    symbols = ["diamond" if member.number in tied else "circle" for member in members]
    front = _deep_points("front", members, axes, color=FRONT, symbol=symbols, size=4.5)
    values = [list(trace[letter]) for letter in "xyz" for trace in [front]]
    frames = [
        _frame(values, place, axis, limits[axis])
        for place, axis in enumerate(axes)
        if axis in limits and members and limits[axis] <= 1.1 * max(values[place])
    ]
    front["meta"] = {"count": len(members)}
    front["marker"]["size"] = [3.5 if member.number in tied else 6 for member in members]
    return {"data": [*traces, *frames, front], "layout": _deep_layout(axes, values)}


def _deep_points(
    name: str,
    points: Sequence[TrialSummary | FrontMember],
    axes: tuple[str, str, str],
    *,
    color: str,
    symbol: Any,
    size: float,
) -> Figure:
    values = [point.values if isinstance(point, FrontMember) else point.metrics for point in points]
    ids = [[point.trial if isinstance(point, FrontMember) else point.id, point.number] for point in points]
    lines = [f"{label(axis)}: {wildcard(letter, axis)}" for letter, axis in zip("xyz", axes, strict=True)]
    note = "on the front" if name == "front" else name
    return {
        "type": "scatter3d",
        "mode": "markers",
        "name": name,
        **{letter: [each[axis] for each in values] for letter, axis in zip("xyz", axes, strict=True)},
        "marker": {"color": color, "symbol": symbol, "size": size, "opacity": 0.8},
        "customdata": ids,
        "text": [point_text(point.summary) for point in points],
        "hovertemplate": "<br>".join([f"#%{{customdata[1]}} · {note}", *lines, "%{text}<extra></extra>"]),
    }


def _frame(values: list[list[float]], place: int, axis: str, bound: float) -> Figure:
    """A dashed rectangle across the other two axes at a limit."""
    first, second = (other for other in range(3) if other != place)
    corners: list[list[float]] = [[], [], []]
    for low_first, low_second in ((1, 1), (0, 1), (0, 0), (1, 0), (1, 1)):
        corners[place].append(bound)
        corners[first].append(min(values[first]) if low_first else max(values[first]))
        corners[second].append(min(values[second]) if low_second else max(values[second]))
    return {
        "type": "scatter3d",
        "mode": "lines",
        "name": "limit",
        **dict(zip("xyz", corners, strict=True)),
        "line": {"color": "#009E73", "width": 3, "dash": "dash"},
        "meta": {"count": 0},
        "hovertemplate": f"at most {value_text(axis, bound)}<extra></extra>",
    }


def _in_brackets(unit: str) -> str:
    return f"({unit})" if unit else ""


def _deep_layout(axes: tuple[str, str, str], values: list[list[float]]) -> Figure:
    # What is shown is where the front lies: the cloud reaches ten times as far.
    scene = {
        f"{letter}axis": {
            **axis_layout(Axis(axis, view_range(axis, shown, None))),
            # In space there is little room beside an axis.
            "title": {"text": " ".join(filter(None, (short_label(axis), _in_brackets(METRICS[axis].unit))))},
        }
        for letter, axis, shown in zip("xyz", axes, values, strict=True)
    }
    return {
        # Prices run to the right and into the depth, so that what is good is seen from here.
        "scene": {
            **scene,
            "camera": {"eye": {"x": -1.7, "y": -1.8, "z": 0.8}, "center": {"x": 0, "y": 0, "z": -0.2}},
            "aspectmode": "cube",
        },
        "showlegend": False,
        "uirevision": "/".join(axes),
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    }
