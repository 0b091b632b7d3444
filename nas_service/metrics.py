"""The metrics a study can optimise or limit: one table, read by the spec, the workers and the page."""

from dataclasses import dataclass
from typing import Literal

Goal = Literal["max", "min"]
Kind = Literal["quality", "cost", "latency"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One measurable figure of a trial."""

    name: str
    # "quality" needs training, "latency" a measurement, "cost" is exact from the architecture alone.
    kind: Kind
    goal: Goal
    label: str
    # Written in the unit that the metric's name carries; "" for a fraction or a count.
    unit: str
    # A value no finished trial can be worse than; it stands in where a candidate was never trained.
    worst: float


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "quality", "max", "Validation accuracy", "", 0.0),
        Metric("error", "quality", "min", "Validation error", "", 1.0),
        Metric("f1_macro", "quality", "max", "Validation F1, mean over classes", "", 0.0),
        Metric("precision_macro", "quality", "max", "Validation precision, mean over classes", "", 0.0),
        Metric("recall_macro", "quality", "max", "Validation recall, mean over classes", "", 0.0),
        Metric("roc_auc", "quality", "max", "Validation ROC AUC, mean over classes", "", 0.0),
        Metric("top3_accuracy", "quality", "max", "Validation accuracy of the first three", "", 0.0),
        Metric("params", "cost", "min", "Trainable parameters", "", float("inf")),
        Metric("macs", "cost", "min", "Multiply-accumulates", "", float("inf")),
        Metric("model_bytes", "cost", "min", "Model size", "bytes", float("inf")),
        Metric("model_bytes_int8", "cost", "min", "Model size, int8", "bytes", float("inf")),
        Metric("peak_activation_bytes", "cost", "min", "Peak activation memory", "bytes", float("inf")),
        Metric("latency_ms", "latency", "min", "Latency", "ms", float("inf")),
    )
}
QUALITIES = frozenset(metric.name for metric in METRICS.values() if metric.kind == "quality")


def bound_text(bound: float) -> str:
    """Return a limit as people write it: all its digits, thousands apart, and never an exponent.

    Example:
        >>> bound_text(1_000_000.0), bound_text(0.25), bound_text(2500.5)
        ('1,000,000', '0.25', '2,500.5')
    """
    return f"{bound:,.0f}" if float(bound).is_integer() else f"{bound:,.10f}".rstrip("0")


def figure_text(metric: str, value: float) -> str:
    """Return a figure with its unit in as many digits as a sentence bears; a quality stays a fraction.

    Example:
        >>> figure_text("params", 12450.0), [figure_text("latency_ms", value) for value in (0.0126518, 1e-6)]
        ('12,450', ['0.0127 ms', '0.000001 ms'])
    """
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if "e" in digits:
        digits = f"{value:.12f}".rstrip("0").rstrip(".")
    return f"{digits} {METRICS[metric].unit}".rstrip()
