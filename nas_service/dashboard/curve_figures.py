"""Learning curves of several trials in one plot, thinned to what can be seen."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from nas_service.dashboard.figures import Figure, accuracy_range, epoch_range, vertical
from nas_service.views import CurvePoint, TrialSummary, TrialView

CurveField = Literal["accuracy", "validation_loss", "train_loss"]
FIELDS: dict[CurveField, str] = {
    "accuracy": "Validation accuracy",
    "validation_loss": "Validation loss",
    "train_loss": "Training loss",
}
MOST_CURVES = 12
POINTS_A_CURVE = 200
FEW_EPOCHS = 10
# Okabe and Ito's, and a shape each; a second round is dashed.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


class Curve(NamedTuple):
    """One trial and its epochs."""

    trial: TrialSummary | TrialView
    points: Sequence[CurvePoint]
    # What the trial is called where its number alone is ambiguous.
    name: str | None = None


def learning_curves(curves: Sequence[Curve], rungs: Sequence[int], field: CurveField) -> Figure:
    """One line a trial by epoch, with the rungs as vertical lines."""
    traces = [_line(curve, place, rungs, field) for place, curve in enumerate(curves)]
    last = max((point.epoch for curve in curves for point in curve.points), default=1)
    return {
        "data": traces,
        "layout": {
            "xaxis": {
                "title": {"text": "Epoch"},
                "range": epoch_range(last),
                "tickformat": "d",
                # Between few epochs plotly would put ticks that read like their neighbours.
                **({"dtick": 1} if last <= FEW_EPOCHS else {}),
            },
            "yaxis": {"title": {"text": FIELDS[field]}, **_scale(curves, field)},
            "shapes": [vertical(rung) for rung in rungs if rung <= last],
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "closest",
            "uirevision": field,
        },
    }


def _scale(curves: Sequence[Curve], field: CurveField) -> Figure:
    if field != "accuracy":
        return {"tickformat": "~g"}
    return {
        "tickformat": "~%",
        **accuracy_range([point.accuracy for curve in curves for point in curve.points]),
    }


def thinned(points: Sequence[CurvePoint], rungs: Sequence[int], most: int) -> list[CurvePoint]:
    """At most so many points, evenly spread, with the first, the last and the rungs among them."""
    if len(points) <= most:
        return list(points)
    kept = {round(place * (len(points) - 1) / (most - 1)) for place in range(most)}
    marks = frozenset(rungs)
    kept |= {place for place, point in enumerate(points) if point.epoch in marks}
    return [points[place] for place in sorted(kept)]


def _line(curve: Curve, place: int, rungs: Sequence[int], field: CurveField) -> Figure:
    name = curve.name or f"#{curve.trial.number}"
    known = [point for point in curve.points if getattr(point, field) is not None]
    shown = thinned(known, rungs, POINTS_A_CURVE)
    turn, color = divmod(place, len(_COLORS))
    form = ":.2%" if field == "accuracy" else ":.4f"
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(shown) < 40 else "lines",
        "name": name,
        "x": [point.epoch for point in shown],
        "y": [getattr(point, field) for point in shown],
        "line": {"color": _COLORS[color], "width": 2, "dash": "dash" if turn else "solid"},
        "marker": {"size": 6, "symbol": _SYMBOLS[color]},
        "hovertemplate": f"{name}, epoch %{{x}}: %{{y{form}}}<extra></extra>",
    }
