"""The confusion matrix as a plotly figure."""

from html import escape
from math import ceil, sqrt
from typing import Any

from nas_service.views import EvaluationView

Figure = dict[str, Any]
# Up to so many classes each cell says its count.
MOST_WITH_COUNTS = 16
# A class's name on an axis; the whole one stands in the hover text.
MOST_LETTERS = 16
# Of more classes only some are named along the axes.
MOST_NAMES = 30


def confusion(evaluation: EvaluationView) -> Figure:
    """Counts of validation examples by true class (rows) and predicted class (columns).

    Colour is the square root of the share of the row, so that one mistake in a hundred still shows.
    """
    rows = evaluation.confusion or ()
    names = [escape(_short(name, number)) for number, name in enumerate(evaluation.class_names)]
    shares = [[count / max(1, sum(row)) for count in row] for row in rows]
    trace: Figure = {
        "type": "heatmap",
        "z": [[sqrt(share) for share in row] for row in shares],
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Cividis",
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "customdata": [
            [[count, share, names[true], names[predicted]] for predicted, (count, share) in enumerate(cells)]
            for true, cells in enumerate(map(zip, rows, shares))
        ],
        "hovertemplate": "true %{customdata[2]}, predicted %{customdata[3]}<br>%{customdata[0]} examples, "
        "%{customdata[1]:.1%} of the class<extra></extra>",
    }
    if len(rows) <= MOST_WITH_COUNTS:
        trace |= {
            "text": [[str(count) if count else "" for count in row] for row in rows],
            "texttemplate": "%{text}",
        }
    return {"data": [trace], "layout": _layout(names)}


def _layout(names: list[str]) -> Figure:
    step = ceil(len(names) / MOST_NAMES)
    ticks = list(range(0, len(names), step))
    axis = {"tickvals": ticks, "ticktext": [names[tick] for tick in ticks], "showgrid": False, "ticks": ""}
    return {
        "xaxis": {**axis, "title": {"text": "Predicted"}},
        "yaxis": {**axis, "title": {"text": "True"}, "autorange": "reversed"},
        "hovermode": "closest",
        "showlegend": False,
        "uirevision": "confusion",
    }


def _short(name: str, number: int) -> str:
    """Return a class's name for an axis; where it is cut, its number keeps it apart from others."""
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 4]}… {number}"
