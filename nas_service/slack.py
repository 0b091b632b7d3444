"""What another limit would do: which share of a space keeps all limits if one of them is moved."""

from collections.abc import Mapping, Sequence

from nas_service.constraints import violations
from nas_service.metrics import METRICS
from nas_service.studies import Constraint
from nas_service.views import LimitHint

# Up to so many hints a limit, at these shares of the sampled values that keep it.
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0)
# Worth saying only where it changes the share by so much.
LEAST_CHANGE = 0.02
DIGITS = 2


def limit_hints(
    costs: Sequence[Mapping[str, float]], limits: Mapping[str, Constraint], is_allowed: Sequence[bool]
) -> list[LimitHint]:
    """Return, for each upper limit, other bounds and the share of samples that would then be feasible.

    Args:
        costs: The figures of each sample.
        limits: The limits on them; the others stay as they are while one is moved.
        is_allowed: Whether the rules of the space allow each sample.
    """
    hints = []
    for name, limit in limits.items():
        if limit.max is None or METRICS[name].kind != "cost":
            continue
        present = _share(costs, limits, is_allowed)
        for bound in _bounds(sorted(cost[name] for cost in costs)):
            moved = {**limits, name: limit.model_copy(update={"max": bound})}
            if limit.min is not None and bound < limit.min:
                continue
            share = _share(costs, moved, is_allowed)
            if abs(share - present) >= LEAST_CHANGE and share > 0:
                hints.append(LimitHint(metric=name, max=bound, feasible_share=share))
    return hints


def _bounds(values: Sequence[float]) -> list[float]:
    """Return the values at the quantiles, rounded up so that the sample itself keeps the bound."""
    places = [min(len(values) - 1, round(share * (len(values) - 1))) for share in QUANTILES]
    return list(dict.fromkeys(_rounded_up(values[place]) for place in places))


def _rounded_up(value: float) -> float:
    """Return the next number of two digits.

    Example:
        >>> _rounded_up(48_210.0), _rounded_up(9.0), _rounded_up(50_000.0)
        (49000.0, 9.0, 50000.0)
    """
    step = 10 ** max(0, len(str(int(value))) - DIGITS)
    return float(-(-value // step) * step)


def _share(
    costs: Sequence[Mapping[str, float]], limits: Mapping[str, Constraint], is_allowed: Sequence[bool]
) -> float:
    kept = [
        allowed and all(value <= 0 for value in violations(cost, limits).values())
        for cost, allowed in zip(costs, is_allowed, strict=True)
    ]
    return sum(kept) / len(kept)
