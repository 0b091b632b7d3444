"""How far a candidate breaks or keeps its limits."""

from collections.abc import Mapping
from typing import Any, Literal

from nas_service.errors import FieldError
from nas_service.metrics import METRICS, bound_text
from nas_service.studies import Constraint


def violations(
    metrics: Mapping[str, float],
    constraints: Mapping[str, Constraint],
    latency: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Return the relative violation of each limit whose metric is known; at most 0 where it is kept.

    Args:
        metrics: Figures by metric name; limits on others are left out.
        constraints: The study's limits.
        latency: The measurement. A limit on the median is applied to the upper end of its interval, where
            known; one on another statistic to that one (`p90_ms`, `p99_ms`).
    """
    found = {}
    for name, constraint in constraints.items():
        value = metrics.get(name)
        if name == "latency_ms" and latency is not None:
            value = latency[f"{constraint.at}_ms"]
            if constraint.at == "median":
                value = latency.get("high_ms", value)
        if value is not None:
            found[name] = violation(float(value), constraint)
    return found


def beyond_range(constraints: Mapping[str, Constraint | None]) -> list[FieldError]:
    """Return an error for each bound that no figure of its metric can reach, such as 95 for a fraction."""
    found = []
    for name, constraint in constraints.items():
        for side in ("max", "min"):
            bound = getattr(constraint, side, None)
            if bound is None:
                continue
            if METRICS[name].kind == "quality":
                is_possible, allowed = 0 <= bound <= 1, "0 to 1: 0.95 is 95 %"
            elif side == "max":
                is_possible, allowed = bound > 0, "above 0"
            else:
                is_possible, allowed = bound >= 0, "at least 0"
            if not is_possible:
                message = f"{bound_text(bound)} is beyond what {name} can be"
                found.append(FieldError(f"/constraints/{name}/{side}", message, allowed))
    return found


def enforced(constraints: Mapping[str, Constraint]) -> dict[str, Constraint]:
    """Return the limits that reject a candidate before it is trained: those that are not soft."""
    return {name: constraint for name, constraint in constraints.items() if not constraint.soft}


def soft(constraints: Mapping[str, Constraint]) -> dict[str, Constraint]:
    """Return the limits that reject nobody and only bound the front."""
    return {name: constraint for name, constraint in constraints.items() if constraint.soft}


def excess_text(excess: float) -> str:
    """Return by how much a limit is broken, relative to its bound, in words.

    Example:
        >>> excess_text(0.125), excess_text(15_000.0), excess_text(1e-9)
        ('12.5 %', '15,000 times its bound', 'less than 0.01 %')
    """
    if excess >= 10:
        return f"{excess:,.0f} times its bound"
    if excess < 1e-4:
        return "less than 0.01 %"
    return f"{100 * excess:,.0f} %" if excess >= 1 else f"{100 * excess:.3g} %"


def is_kept(violations: Mapping[str, float]) -> bool:
    """Whether every limit is kept."""
    return all(excess <= 0 for excess in violations.values())


def violation(value: float, constraint: Constraint) -> float:
    """Return by which part of its bound a value is off: (value - max) / max, or (min - value) / min."""
    off = []
    if constraint.max is not None:
        off.append((value - constraint.max) / (abs(constraint.max) or 1.0))
    if constraint.min is not None:
        off.append((constraint.min - value) / (abs(constraint.min) or 1.0))
    return max(off)


def side_of(constraint: Constraint, low: float, high: float) -> Literal["kept", "broken"] | None:
    """Return on which side of a limit a whole interval lies; None where it reaches over."""
    least = constraint.min if constraint.min is not None else float("-inf")
    most = constraint.max if constraint.max is not None else float("inf")
    if low > most or high < least:
        return "broken"
    return "kept" if least <= low and high <= most else None
