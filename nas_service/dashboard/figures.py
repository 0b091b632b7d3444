"""Plotly figures from the service's views, as plain dictionaries.

In a notebook: `plotly.graph_objects.Figure(pareto(study, front, trials, x="latency_ms", y="accuracy"))`.
Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), and every state has a shape of its own.
Backgrounds, fonts and grid are left to the theme of the reader.
"""

from collections.abc import Container, Iterable, Sequence
from functools import lru_cache
from html import escape
from textwrap import wrap
from typing import Any

from nas_service.dashboard.axes import Axis, axis_layout, limit_labels, limit_shapes
from nas_service.dashboard.cloud import Cloud
from nas_service.dashboard.wording import label, short_label, value_text
from nas_service.metrics import METRICS
from nas_service.studies import StudySpec
from nas_service.views import CurvePoint, FrontMember, FrontView, StudyView, TrialSummary

Figure = dict[str, Any]

FRONT, DOMINATED, INFEASIBLE, PRUNED = "#0072B2", "#8c96a0", "#D55E00", "#CC79A7"
TRAIN, SECOND = "#E69F00", "#009E73"
_SYMBOLS = {"accuracy": "circle", "train_loss": "square", "validation_loss": "diamond"}
# Kind of point, what it is shown together with, symbol, colour, size.
_GROUPS = (
    ("dominated", "dominated", "circle", DOMINATED, 5),
    ("beyond", "dominated", "circle-open", DOMINATED, 5),
    ("pruned", "pruned", "triangle-up", PRUNED, 8),
    ("infeasible", "infeasible", "x", INFEASIBLE, 6),
    ("running", "running", "triangle-right", FRONT, 9),
)
_NOTES = {"beyond": "beyond the limit", "running": "in training, figures so far"}
MOST_SINGLE_STEPS = 12
# Share of the plot's height for candidates that were rejected before they had a value for y.
_STRIP = 0.07


def default_axes(spec: StudySpec) -> tuple[str, str]:
    """The two metrics to look at first: what is paid across, what is gained upwards."""
    names = [objective.metric for objective in spec.objectives]
    gained = [name for name in names if METRICS[name].kind == "quality"]
    paid = [name for name in names if METRICS[name].kind != "quality"]
    limited = [name for name in spec.constraints if METRICS[name].kind != "quality"]
    y = (gained or [names[-1]])[0]
    x = next(name for name in [*paid, *limited, "params", "macs"] if name != y)
    return x, y


def pareto(
    study: StudyView,
    front: FrontView,
    trials: Iterable[TrialSummary] | Cloud,
    *,
    x: str,
    y: str,
    show: frozenset[str] = frozenset({"dominated", "infeasible"}),
    tied: Container[int] = (),
) -> Figure:
    """The front of two metrics as a step line over the cloud of the other candidates.

    Args:
        study: Whose limits are drawn.
        front: Over exactly `x` and `y`; only its members are drawn as front.
        trials: The cloud, or the trials to make it of; members of the front among them are skipped.
        x: Metric across.
        y: Metric upwards.
        show: Which of dominated, infeasible, pruned and running candidates to draw.
        tied: The numbers of members that are no better than another beyond noise; they are drawn smaller.
    """
    cloud = trials
    if not isinstance(cloud, Cloud):
        cloud = Cloud.of(cloud, on_front={member.trial for member in front.front}, x=x, y=y)
    traces = []
    for name, kind, symbol, color, size in _GROUPS:
        placed = [trial for trial in getattr(cloud, name) if y in trial.metrics]
        if kind in show and placed:
            trace = _points(name, placed, x, y, color=color, symbol=symbol, size=size)
            count = len(placed) if name == "running" else cloud.counts[name]
            traces.append({**trace, "meta": {"count": count}})
    strips = _strips(cloud, x, y, show)
    has_strip = bool(strips)
    traces += strips
    traces.append(_front_trace(front.front, x, y, tied))
    return {"data": traces, "layout": _pareto_layout(study.spec, cloud, front.front, x, y, has_strip)}


def hypervolume(front: FrontView) -> Figure:
    """How much of the objective space the front covers, after each trained trial."""
    history = front.hypervolume_history
    return {
        "data": [
            {
                "type": "scatter",
                "mode": growth_mode(len(history)),
                "name": "hypervolume",
                "x": [point.trials for point in history],
                "y": [point.hypervolume for point in history],
                "marker": {"color": FRONT, "symbol": "circle", "size": 6},
                "line": {"color": FRONT, "width": 2, "shape": "hv"},
                "hovertemplate": "after %{x} trials: %{y:.4g}<extra></extra>",
            }
        ],
        "layout": {
            "xaxis": {
                "title": {"text": "Complete trials"},
                **count_axis([point.trials for point in history]),
            },
            "yaxis": {"title": {"text": "Hypervolume"}, **volume_axis([p.hypervolume for p in history])},
            "showlegend": False,
            "uirevision": "hypervolume",
        },
    }


def growth_mode(count: int) -> str:
    """How steps are drawn: a single one has no length, so it is marked."""
    return "lines" if count > 1 else "lines+markers"


def count_axis(counts: Sequence[float]) -> Figure:
    """An axis of what was spent, in whole numbers; plotly would put ticks between few, and round them."""
    last = max(counts, default=0)
    steps: Figure = {"tick0": 0, "dtick": 1} if last <= MOST_SINGLE_STEPS else {}
    return {"range": [0, last * 1.05 or 1], "tickformat": ",d", **steps}


def volume_axis(volumes: Sequence[float]) -> Figure:
    """The part of an axis around a single volume, which plotly would put between −0.5 and 1."""
    return {"range": [0, max(volumes) * 1.25]} if len(set(volumes)) == 1 and max(volumes) > 0 else {}


def learning_curve(points: Sequence[CurvePoint], rungs: Sequence[int] = ()) -> Figure:
    """Accuracy above, losses below, by epoch; earlier attempts are dotted, rungs are vertical lines."""
    attempts = sorted({point.attempt for point in points})
    traces = []
    for attempt in attempts:
        chosen = [point for point in points if point.attempt == attempt]
        is_last = attempt == attempts[-1]
        suffix = "" if is_last else f", attempt {attempt}"
        for field, name, color, axis in (
            ("accuracy", "validation accuracy", FRONT, "y"),
            ("train_loss", "training loss", TRAIN, "y2"),
            ("validation_loss", "validation loss", SECOND, "y2"),
        ):
            traces.append(_curve(chosen, field, name + suffix, color, axis, is_solid=is_last))
    last = max((point.epoch for point in points), default=1)
    lines = [vertical(rung) for rung in rungs if rung <= last]
    layout = _curve_layout(lines, last)
    if last <= MOST_SINGLE_STEPS:
        # Plotly would put ticks between epochs, and round them.
        layout["xaxis"]["dtick"] = 1
    layout["yaxis"] |= accuracy_range([point.accuracy for point in points])
    return {"data": traces, "layout": layout}


def accuracy_range(shares: Sequence[float | None]) -> Figure:
    """The part of an axis around a single share, which plotly would put between −80 % and 120 %."""
    known = {share for share in shares if share is not None}
    if len(known) != 1:
        return {}
    (share,) = known
    return {"range": [max(0.0, share - 0.05), min(1.0, share + 0.05)]}


def hover_template(x: str, y: str | None, note: str) -> str:
    """What every point of a trace says; number, summary and reason come from the point itself."""
    # Bold would be an inline style, which the pages forbid.
    lines = [f"#%{{customdata[1]}} · {note}"]
    lines += [f"{label(name)}: {wildcard(letter, name)}" for letter, name in (("y", y), ("x", x)) if name]
    return "<br>".join([*lines, "%{text}<extra></extra>"])


def wildcard(letter: str, metric: str) -> str:
    """The place of a coordinate in a hover template, in the metric's form."""
    unit = METRICS[metric].unit.replace("bytes", "B")
    form = {"ms": ":.3~r", "B": ":.3~s"}.get(unit, ":.2%" if METRICS[metric].kind == "quality" else ":,d")
    return f"%{{{letter}{form}}} {unit}".rstrip()


@lru_cache(maxsize=16_384)
def point_text(summary: str, *more: str) -> str:
    """Further lines of a point; plotly reads a little HTML, so everything is escaped."""
    return "<br>".join(escape(line) for part in (*more, summary) if part for line in wrap(part, 48))


def _front_trace(members: Sequence[FrontMember], x: str, y: str, tied: Container[int]) -> Figure:
    drawn = sorted((m for m in members if x in m.values and y in m.values), key=lambda m: m.values[x])
    others = [name for name in ("accuracy", "params", "latency_ms") if name not in (x, y)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "front",
        "x": [m.values[x] for m in drawn],
        "y": [m.values[y] for m in drawn],
        # What is attained between two points is what the cheaper of them attains.
        "line": {"color": FRONT, "width": 2, "shape": "hv" if METRICS[x].goal == "min" else "vh"},
        "marker": _front_marker(drawn, tied, x, y),
        "customdata": [[m.trial, m.number] for m in drawn],
        "meta": {"count": len(drawn)},
        "text": [
            point_text(m.summary, _figures_of(m.values, others), *_member_notes(m, tied)) for m in drawn
        ],
        "hovertemplate": hover_template(x, y, "on the front"),
    }


def _front_marker(drawn: Sequence[FrontMember], tied: Container[int], x: str, y: str) -> Figure:
    """Large and outlined while there is room for that; small diamonds for those that are tied."""
    is_crowded = len(drawn) > 40
    large, small = (6, 5) if is_crowded else (10, 7)
    symbols = _symbols("circle", drawn, x, y)
    every = [symbols] * len(drawn) if isinstance(symbols, str) else symbols
    ties = [member.number in tied for member in drawn]
    if any(ties):
        symbols = [
            name.replace("circle", "diamond") if is_tied else name
            for name, is_tied in zip(every, ties, strict=True)
        ]
    return {
        "color": FRONT,
        "symbol": symbols,
        "size": [small if is_tied else large for is_tied in ties] if any(ties) else large,
        "line": {"width": 0 if is_crowded else 1, "color": "#ffffff"},
    }


def _member_notes(member: FrontMember, tied: Container[int]) -> list[str]:
    note = "tied with another point: no better beyond noise" if member.number in tied else ""
    return [note, _predicted_note(member)]


def _points(
    name: str, trials: Sequence[TrialSummary], x: str, y: str, *, color: str, symbol: str, size: int
) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [trial.metrics[x] for trial in trials],
        "y": [trial.metrics[y] for trial in trials],
        "marker": {"color": color, "symbol": _symbols(symbol, trials, x, y), "size": size, "opacity": 0.8},
        "customdata": [[trial.id, trial.number] for trial in trials],
        "text": [point_text(trial.summary, trial.reason or "", _predicted_note(trial)) for trial in trials],
        "hovertemplate": hover_template(x, y, _NOTES.get(name, name)),
    }


def _symbols(symbol: str, points: Sequence[TrialSummary | FrontMember], *axes: str) -> str | list[str]:
    """A point whose place is predicted is hollow; one symbol for all where none is."""
    hollow = [any(axis in point.predicted for axis in axes) for point in points]
    return [f"{symbol}-open" if is_open else symbol for is_open in hollow] if any(hollow) else symbol


def _predicted_note(point: TrialSummary | FrontMember) -> str:
    return f"predicted: {', '.join(map(short_label, point.predicted))}" if point.predicted else ""


def _strips(cloud: Cloud, x: str, y: str, show: frozenset[str]) -> list[Figure]:
    """What has a place across but none upwards: rejected untrained, and in training before a first figure."""
    begun = [trial for trial in cloud.running if y not in trial.metrics]
    rows: list[tuple[str, Sequence[TrialSummary], str, str, int]] = [
        ("infeasible", cloud.untrained, INFEASIBLE, "x", cloud.counts["untrained"]),
        ("running", begun, FRONT, "triangle-right", len(begun)),
    ]
    return [
        {
            **_points(name, trials, x, x, color=color, symbol=symbol, size=6),
            "y": [0] * len(trials),
            "yaxis": "y2",
            "hovertemplate": hover_template(x, None, _NOTES.get(name, name)),
            "meta": {"count": count},
        }
        for name, trials, color, symbol, count in rows
        if name in show and trials
    ]


def _figures_of(values: dict[str, float], names: Sequence[str]) -> str:
    known = [name for name in names if name in values]
    return " · ".join(f"{short_label(name)} {value_text(name, values[name])}" for name in known)


def _pareto_layout(
    spec: StudySpec, cloud: Cloud, members: Sequence[FrontMember], x: str, y: str, has_strip: bool
) -> Figure:
    drawn = [m.values for m in members if x in m.values and y in m.values]
    feasible = [*drawn, *(trial.metrics for trial in [*cloud.dominated, *cloud.beyond])]
    backdrop = [trial.metrics for trial in [*cloud.infeasible, *cloud.untrained]]
    across = Axis.over(x, [v[x] for v in feasible or backdrop], spec.constraints.get(x))
    trained = feasible or [trial.metrics for trial in cloud.infeasible]
    upward = Axis.over(y, [v[y] for v in trained], spec.constraints.get(y))
    layout: Figure = {
        "xaxis": {**axis_layout(across), "anchor": "y2" if has_strip else "y"},
        "yaxis": {**axis_layout(upward), "domain": [_STRIP + 0.05 if has_strip else 0, 1]},
        "shapes": limit_shapes(spec, across, upward),
        "annotations": limit_labels(spec, across, upward),
        "hovermode": "closest",
        "showlegend": False,
        # A zoom made by hand survives an update, but not a change of axes.
        "uirevision": "/".join(f"{axis.metric}{' log' if axis.is_log else ''}" for axis in (across, upward)),
    }
    if has_strip:
        layout["yaxis2"] = {
            "domain": [0, _STRIP],
            "range": [-1, 1],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "tickvals": [0],
            "ticktext": ["untrained"],
        }
    return layout


def _curve(
    points: Sequence[CurvePoint], field: str, name: str, color: str, axis: str, *, is_solid: bool
) -> Figure:
    known = [(point.epoch, getattr(point, field)) for point in points if getattr(point, field) is not None]
    form = ":.2%" if field == "accuracy" else ":.4f"
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(known) < 40 else "lines",
        "name": name,
        "x": [epoch for epoch, _ in known],
        "y": [value for _, value in known],
        "yaxis": axis,
        "line": {"color": color, "width": 2, "dash": "solid" if is_solid else "dot"},
        "marker": {"size": 5, "symbol": _SYMBOLS[field]},
        "hovertemplate": f"epoch %{{x}}: %{{y{form}}}<extra>{name}</extra>",
    }


def _curve_layout(lines: list[Figure], last: int) -> Figure:
    return {
        "xaxis": {
            "title": {"text": "Epoch"},
            "range": epoch_range(last),
            "tickformat": "d",
            "anchor": "y2",
        },
        "yaxis": {"title": {"text": "Accuracy"}, "tickformat": "~%", "domain": [0.54, 1]},
        "yaxis2": {"title": {"text": "Loss"}, "domain": [0, 0.46], "rangemode": "tozero"},
        "shapes": lines,
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "uirevision": "curve",
    }


def epoch_range(last: int) -> list[float]:
    """The part of an axis of epochs that curves fill: from the first, for there is nothing before it."""
    margin = max(0.15, 0.03 * (last - 1))
    return [1 - margin, last + margin]


def vertical(epoch: int) -> Figure:
    """A dotted line where a rung is."""
    line = {"color": DOMINATED, "width": 1, "dash": "dot"}
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": epoch,
        "x1": epoch,
        "y0": 0,
        "y1": 1,
        "line": line,
    }
