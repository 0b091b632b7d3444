"""The data of the parallel coordinates: axes of metrics and parameters, and a line a trial."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import Columns
from nas_service.dashboard.analysis_figures import coordinates
from nas_service.dashboard.cloud import spread
from nas_service.dashboard.wording import short_label, value_text
from nas_service.details import Details
from nas_service.metrics import METRICS

# A canvas draws these in some 20 ms.
MOST_LINES = 1500
TICKS = 5


def document(
    columns: Columns,
    details: Details,
    metrics: Sequence[str],
    params: Sequence[str],
    on_front: Sequence[int],
) -> dict[str, Any]:
    """Return axes and lines of the fully trained trials; the front is whole, the rest is thinned.

    Args:
        columns: All trials.
        details: Their parameters.
        metrics: The axes of metrics, from the left.
        params: The axes of parameters behind them.
        on_front: Numbers of the trials on the front.
    """
    numbers = np.flatnonzero(columns.are("complete") & ~columns.excluded)
    is_front = np.isin(numbers, np.asarray(on_front, np.int64))
    others = numbers[~is_front]
    chosen = np.sort(np.concatenate([numbers[is_front], others[spread(others, MOST_LINES)]]))
    mask = np.zeros(len(columns), np.bool_)
    mask[chosen] = True
    known = details.params.among(mask)
    axes = [_metric_axis(name, columns.values(name)[chosen]) for name in metrics]
    axes += [_param_axis(name, *coordinates(known[name])) for name in params if name in known]
    return {
        "axes": [axis for axis, _ in axes],
        "lines": [list(map(_plain, row)) for row in zip(*(values for _, values in axes), strict=True)],
        "ids": columns.ids[chosen].tolist(),
        "numbers": chosen.tolist(),
        "front": np.isin(chosen, numbers[is_front]).tolist(),
        "total": len(numbers),
    }


def _metric_axis(name: str, values: NDArray[np.float64]) -> tuple[dict[str, Any], NDArray[np.float64]]:
    low, high = _range(values)
    ticks = [(float(place), value_text(name, float(place))) for place in np.linspace(low, high, TICKS)]
    words = {"label": short_label(name), "ticks": ticks, "goal": METRICS[name].goal}
    return {"name": name, "range": [low, high], **words}, values


def _param_axis(
    name: str, values: NDArray[np.float64], labels: list[str] | None
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    axis: dict[str, Any] = {"name": name, "label": name}
    if labels is not None:
        ticks = [(float(place), text) for place, text in enumerate(labels)]
        return axis | {"range": [0.0, max(1.0, len(labels) - 1.0)], "ticks": ticks, "is_choice": True}, values
    low, high = _range(values)
    ticks = [(float(place), f"{place:.3g}") for place in np.linspace(low, high, TICKS)]
    return axis | {"range": [low, high], "ticks": ticks}, values


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    # Of a single value a little around it: a share would reach beyond 100 %.
    margin = abs(low) * 0.02 or 0.5
    return (low, high) if high > low else (low - margin, high + margin)


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
