"""Figures of the analysis page, as plain dictionaries for plotly."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.analysis import Growing, Spent
from nas_service.dashboard.axes import tick_format
from nas_service.dashboard.cloud import spread, spread_places
from nas_service.dashboard.figures import (
    DOMINATED,
    FRONT,
    SECOND,
    TRAIN,
    Figure,
    count_axis,
    growth_mode,
    volume_axis,
)
from nas_service.dashboard.wording import label
from nas_service.importance import Importances
from nas_service.param_table import Param

MOST_BARS = 15
POINTS_A_SLICE = 250
# Of each arm: its name, colour and dash, for colour alone must not tell them apart.
_ARMS = {"all": (FRONT, "solid"), "search": (SECOND, "dash"), "random": (TRAIN, "dot")}
_WORDS = {"all": "all trials", "search": "search alone", "random": "random arm alone"}


def growth(arms: Mapping[str, Growing], over: Spent) -> Figure:
    """Hypervolume against what was spent, a line an arm."""
    unit = "trials" if over == "trials" else "epochs"
    return {
        "data": [
            {
                "type": "scatter",
                "mode": growth_mode(len(set(grown.spent))),
                "name": _WORDS[arm],
                "x": grown.spent,
                "y": grown.volume,
                "marker": {"color": _ARMS[arm][0], "symbol": "circle", "size": 6},
                "line": {"color": _ARMS[arm][0], "dash": _ARMS[arm][1], "width": 2, "shape": "hv"},
                "hovertemplate": f"after %{{x:,d}} {unit}: %{{y:.4g}}<extra>{_WORDS[arm]}</extra>",
            }
            for arm, grown in arms.items()
        ],
        "layout": {
            "xaxis": {
                "title": {"text": "Trained trials" if over == "trials" else "Epochs of training"},
                **count_axis([place for grown in arms.values() for place in grown.spent]),
            },
            "yaxis": {
                "title": {"text": "Hypervolume"},
                **volume_axis([volume for grown in arms.values() for volume in grown.volume]),
            },
            "showlegend": len(arms) > 1,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "uirevision": over,
        },
    }


def importance_bars(found: Importances) -> Figure:
    """The parameters that matter most, as shares of all importance, the largest on top."""
    total = sum(found.values.values()) or 1.0
    shown = [(name, value / total) for name, value in found.values.items()][:MOST_BARS][::-1]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": "importance",
                "x": [share for _, share in shown],
                "y": [name for name, _ in shown],
                "marker": {"color": FRONT},
                "text": [f"{share:.0%}" for _, share in shown],
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {"title": {"text": "Share of importance"}, "tickformat": ".0%", "rangemode": "tozero"},
            "yaxis": {"type": "category", "showgrid": False},
            "margin": {"r": 40},
            "showlegend": False,
            "uirevision": "importance",
        },
    }


def slices(
    params: Mapping[str, Param],
    values: NDArray[np.float64],
    trials: NDArray[np.int64],
    metric: str,
    columns: int,
) -> Figure:
    """A metric against each of some parameters, a small plot each, with the medians of choices.

    Args:
        params: Each with an entry a trial.
        values: The metric, an entry a trial.
        trials: Their ids and numbers, shape (n, 2).
        metric: Its name.
        columns: Plots beside each other.
    """
    data: list[Figure] = []
    layout: Figure = {
        "annotations": [],
        "showlegend": False,
        "hovermode": "closest",
        # Room for the first row's names.
        "margin": {"t": 28},
        "uirevision": metric,
    }
    rows = -(-len(params) // columns)
    for place, (name, param) in enumerate(params.items()):
        axis, cell = str(place + 1 if place else ""), divmod(place, columns)
        positions, ticks = coordinates(param)
        data += _slice(positions, ticks, values, trials, metric, axis)
        layout |= _slice_axes(ticks, metric, axis, cell, rows, columns)
        layout["annotations"].append(_slice_title(name, axis))
    return {"data": data, "layout": layout}


def coordinates(param: Param) -> tuple[NDArray[np.float64], list[str] | None]:
    """A parameter's values as places on an axis, and the labels of the places where it is a choice.

    Where conditions or versions of the space gave it several domains, choices share one axis.
    """
    if all(domain.choices is None for domain in param.domains):
        return param.values, None
    tables = [_labels(param, regime) for regime in range(len(param.domains))]
    labels = list(dict.fromkeys(text for table in tables for text in table.values()))
    places = np.full(len(param.values), np.nan)
    for regime, table in enumerate(tables):
        for value, text in table.items():
            places[(param.regimes == regime) & (param.values == value)] = labels.index(text)
    return places, labels


def _labels(param: Param, regime: int) -> dict[float, str]:
    """The words of each value that occurs under a domain, or that its choices have."""
    domain = param.domains[regime]
    if domain.choices is not None:
        return {float(place): str(choice) for place, choice in enumerate(domain.choices)}
    seen = np.unique(param.values[param.regimes == regime])
    return {float(value): domain.label(float(value)) for value in seen}


def _slice(
    positions: NDArray[np.float64],
    ticks: Sequence[str] | None,
    values: NDArray[np.float64],
    trials: NDArray[np.int64],
    metric: str,
    axis: str,
) -> list[Figure]:
    known = np.flatnonzero(np.isfinite(positions) & np.isfinite(values))
    chosen = known[spread(known, POINTS_A_SLICE)]
    # Points of one choice would lie on one line.
    shift = (spread_places(np.arange(len(chosen))) - 0.5) * 0.5 if ticks is not None else 0.0
    words = [ticks[int(place)] if ticks is not None else f"{place:g}" for place in positions[chosen]]
    points: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": "trials",
        "x": np.round(positions[chosen] + shift, 4).tolist(),
        "y": values[chosen].tolist(),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "text": words,
        "customdata": trials[chosen].tolist(),
        "marker": {"color": DOMINATED, "size": 5, "opacity": 0.7},
        "hovertemplate": f"#%{{customdata[1]}} · %{{text}}<br>{label(metric)}: %{{y:{tick_format(metric)}}}"
        "<extra></extra>",
    }
    return [points] if ticks is None else [points, _medians(positions, ticks, values, metric, axis)]


def _medians(
    positions: NDArray[np.float64],
    ticks: Sequence[str],
    values: NDArray[np.float64],
    metric: str,
    axis: str,
) -> Figure:
    groups = {place: values[(positions == place) & np.isfinite(values)] for place in range(len(ticks))}
    known = {place: float(np.median(group)) for place, group in groups.items() if len(group)}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "median",
        "x": list(known),
        "y": list(known.values()),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "text": [f"{ticks[place]}, {len(groups[place])} trials" for place in known],
        "marker": {
            "symbol": "line-ew",
            "size": min(22, 90 // len(ticks)),
            "line": {"color": FRONT, "width": 3},
        },
        "hovertemplate": f"%{{text}}<br>median: %{{y:{tick_format(metric)}}}<extra></extra>",
    }


def _slice_axes(
    ticks: Sequence[str] | None, metric: str, axis: str, cell: tuple[int, int], rows: int, columns: int
) -> Figure:
    row, column = cell
    gap_x, gap_y = 0.07, 0.36 / rows
    width, height = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    left, top = column * (width + gap_x), 1 - row * (height + gap_y)
    x: Figure = {"domain": [left, left + width], "anchor": f"y{axis}"}
    if ticks is not None:
        short = [text if len(text) <= 9 else f"{text[:8]}…" for text in ticks]
        x |= {"tickvals": list(range(len(ticks))), "ticktext": short, "range": [-0.6, len(ticks) - 0.4]}
    return {
        f"xaxis{axis}": x,
        f"yaxis{axis}": {
            "domain": [max(0.0, top - height), top],
            "anchor": f"x{axis}",
            "tickformat": tick_format(metric),
            **({"matches": "y"} if axis else {}),
        },
    }


def _slice_title(name: str, axis: str) -> dict[str, Any]:
    return {
        "text": name,
        "xref": f"x{axis} domain",
        "yref": f"y{axis} domain",
        "x": 0,
        "y": 1.02,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12},
    }
