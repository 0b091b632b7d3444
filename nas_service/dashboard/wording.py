"""Figures and times as a person reads them: one wording for pages, plots and hover texts."""

import math
from datetime import UTC, datetime
from typing import Any

from nas_service.metrics import METRICS, QUALITIES
from search_spaces.cost import ReceptiveField

NOTHING = "–"
_AS_COUNT = frozenset({"params", "macs"})
_SHORT = {
    "accuracy": "Accuracy",
    "error": "Error",
    "f1_macro": "F1",
    "precision_macro": "Precision",
    "recall_macro": "Recall",
    "roc_auc": "ROC AUC",
    "top3_accuracy": "Top 3",
    "params": "Parameters",
    "macs": "MACs",
    "peak_activation_bytes": "Peak memory",
}
_AS_BYTES = frozenset({"model_bytes", "model_bytes_int8", "peak_activation_bytes"})


def label(metric: str) -> str:
    """The metric's name in words; an unknown one keeps its own name."""
    return METRICS[metric].label if metric in METRICS else metric


def short_label(metric: str) -> str:
    """The metric's name in a word or two, for the head of a column."""
    return _SHORT.get(metric, label(metric))


def unit_text(metric: str) -> str:
    """The unit in which a metric's plain figures are, empty for a count or a share."""
    return METRICS[metric].unit if metric in METRICS else ""


def value_text(metric: str, value: float | None) -> str:
    """A figure with its unit.

    Example:
        >>> value_text("accuracy", 0.98526), value_text("params", 48_210), value_text("latency_ms", 0.41234)
        ('98.53 %', '48,210', '0.412 ms')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if metric in QUALITIES:
        return f"{value * 100:.2f} %"
    if metric in _AS_COUNT:
        return f"{value:,.0f}"
    if metric in _AS_BYTES:
        return bytes_text(value)
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{significant(value)} {unit}".rstrip()


def limit_text(metric: str, bound: float, at: str) -> str:
    """A bound as it was asked for, with the statistic where it is one of a latency."""
    if metric in METRICS and METRICS[metric].kind == "latency":
        return f"{bound:g} {METRICS[metric].unit} ({at})"
    return f"{bound:.4g}" if metric not in METRICS else value_text(metric, bound)


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, never in exponent form.

    Example:
        >>> significant(0.0123456), significant(12.345), significant(12345.6)
        ('0.0123', '12.3', '12,346')
    """
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def count_text(count: int) -> str:
    """A count that may be astronomically large, exact up to a million.

    Example:
        >>> count_text(12_960), count_text(3_456_789), count_text(13_637_604_372_480)
        ('12,960', '3.46 million', '1.36 × 10¹³')
    """
    if count < 10**6:
        return f"{count:,}"
    for size, word in ((10**12, "billion"), (10**9, "million")):
        if size // 1000 <= count < size:
            return f"{significant(count / (size // 1000))} {word}"
    digits = str(count)
    power = str(len(digits) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits[0]}.{digits[1:3]} × 10{power}"


def compact_text(value: float) -> str:
    """A count in three digits.

    Example:
        >>> compact_text(322), compact_text(594_160), compact_text(141_000_000)
        ('322', '594 k', '141 M')
    """
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{significant(value / size)} {unit}"
    return f"{value:.0f}"


def bytes_text(value: float) -> str:
    """Bytes in decimal units, three significant digits."""
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{significant(value) if unit != 'B' else format(value, '.0f')} {unit}"
        value /= 1000
    return f"{significant(value)} GB"


def share_text(share: float) -> str:
    """A share as a percentage that never rounds something to nothing or to everything.

    Example:
        >>> share_text(0.0004), share_text(0.634), share_text(0.9996), share_text(1.0)
        ('under 0.1 %', '63 %', 'over 99.9 %', '100 %')
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    percent = share * 100
    return f"{percent:.0f} %" if percent == round(percent) or 10 <= percent <= 90 else f"{percent:.1f} %"


def duration_text(seconds: float) -> str:
    """A duration in at most two units.

    Example:
        >>> duration_text(0.042), duration_text(7.31), duration_text(200), duration_text(7500)
        ('42 ms', '7.3 s', '3 min 20 s', '2 h 05 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def timing_text(name: str, value: float) -> str:
    """A trial's timing: a duration where its name carries seconds, else a count.

    Example:
        >>> timing_text("training_s", 7.31), timing_text("trained_examples", 10320.0)
        ('7.3 s', '10,320')
    """
    return duration_text(value) if name.endswith("_s") else f"{value:,.0f}"


def ago_text(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit."""
    seconds = ((now or datetime.now(UTC)) - as_utc(moment)).total_seconds()
    if seconds < 5:
        return "just now"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds // 86_400)} d ago"


def moment_text(moment: datetime) -> str:
    """The absolute time, for a title."""
    return as_utc(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def words_of(name: str) -> str:
    """A name with its unit taken off, in words: `latency_s` reads "Latency"."""
    return name.removesuffix("_s").removesuffix("_ms").replace("_", " ").strip().capitalize()


_LATENCY_LABELS = {
    "low_ms": "Median at least",
    "high_ms": "Median at most",
    "min_ms": "Shortest run, as it ran",
    "reference_ms": "Reference network, as it ran",
    "is_noisy": "Noisy",
    "is_predicted": "Predicted",
}
# What a prediction says; the rest of a measurement is not predicted.
_PREDICTED_FACTS = ("device", "runtime", "runtime_version", "machine", "median_ms", "low_ms", "high_ms")


def latency_facts(latency: dict[str, Any]) -> list[tuple[str, str]]:
    """A measurement's entries in words, times in milliseconds; of a predicted one what was predicted.

    Lists of raw timings are left out, and the folded network's hash, which tells a person nothing.
    """
    facts = []
    known = _PREDICTED_FACTS if latency.get("is_predicted") else latency
    # Without these words the shortest run would often be longer than the median.
    is_divided = latency.get("reference_ms") is not None
    labels = {**_LATENCY_LABELS, **({"median_ms": "Median, drift divided out"} if is_divided else {})}
    for name, value in latency.items():
        if name not in known:
            continue
        label = labels.get(name) or words_of(name)
        if isinstance(value, float) and name.endswith("_ms"):
            facts.append((label, f"{significant(value)} ms"))
        elif not isinstance(value, (list, dict)) and name != "network_hash":
            facts.append((label, _plain(value)))
    return facts


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: NOTHING}[value]
    return (
        f"{value:,}"
        if isinstance(value, int)
        else significant(value)
        if isinstance(value, float)
        else str(value)
    )


def field_text(field: ReceptiveField) -> str:
    """A receptive field: `3 × 3`, or `3 × 3 to 9 × 9` where branches differ."""
    smallest, largest = shape_text(field.smallest), shape_text(field.largest)
    return largest if smallest == largest else f"{smallest} to {largest}"


def shape_text(shape: tuple[int, ...]) -> str:
    """An input shape: `1 × 28 × 28`."""
    return " × ".join(str(size) for size in shape)
