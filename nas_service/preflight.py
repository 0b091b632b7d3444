"""What can be said of a study before any training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from statistics import mean, median

from nas_service.constraints import violations
from nas_service.metrics import METRICS, figure_text
from nas_service.slack import limit_hints
from nas_service.space_sample import space_sample
from nas_service.studies import StudySpec
from nas_service.views import DatasetView, Preflight
from search_spaces import SearchSpace

# Multiply-accumulates that one core trains a second, where no trial has shown it yet; a modest guess.
DEFAULT_MACS_PER_S = 8e9
# A backward pass costs about two forward passes.
TRAINING_FACTOR = 3
# Which share of the epochs early stopping leaves, for eta = 3 and four rungs.
STOPPED_SHARE = 0.5
SIZES = ("params", "macs", "model_bytes", "model_bytes_int8", "peak_activation_bytes")
Figures = Mapping[str, int]


def report(
    spec: StudySpec,
    space: SearchSpace,
    dataset: DatasetView,
    samples: int,
    macs_per_s: float | None,
    workers: int,
) -> Preflight:
    """Sample the space and report what is feasible, how large it is, and how long the search may take.

    Args:
        spec: The study.
        space: Its resolved space.
        dataset: Its data set.
        samples: How many architectures to draw.
        macs_per_s: What one worker of this installation trained a second, None if nothing was trained yet.
        workers: How many workers are alive.
    """
    sample = space_sample(space, dataset.input_shape, dataset.classes, samples)
    costs, rules = sample.costs, sample.rules
    limits = {name: limit for name, limit in spec.constraints.items() if METRICS[name].kind == "cost"}
    excess = [violations(cost, limits) for cost in costs]
    feasible = [
        cost
        for cost, off, rule in zip(costs, excess, rules, strict=True)
        if rule is None and all(value <= 0 for value in off.values())
    ]
    broken = {name: mean(off[name] > 0 for off in excess) for name in limits}
    minutes, basis = _estimate(spec, dataset, feasible, macs_per_s, workers)
    return Preflight(
        sampled=samples,
        distinct=sample.distinct,
        combinations=space.size(),
        feasible_share=len(feasible) / samples,
        forbidden_share=mean(rule is not None for rule in rules),
        broken_share=broken,
        binding=_binding(spec, broken, costs, rules),
        hints=limit_hints(costs, limits, [rule is None for rule in rules]),
        smallest=_extremes(costs, min),
        largest=_extremes(costs, max),
        smallest_feasible=_extremes(feasible, min) if feasible else None,
        largest_feasible=_extremes(feasible, max) if feasible else None,
        estimated_minutes=minutes,
        estimate_basis=basis,
    )


def _extremes(costs: Sequence[Figures], choose: object) -> dict[str, float]:
    pick = min if choose is min else max
    return {name: float(pick(cost[name] for cost in costs)) for name in SIZES}


def _binding(
    spec: StudySpec, broken: dict[str, float], costs: Sequence[Figures], rules: Sequence[str | None]
) -> str | None:
    forbidden = Counter(rule for rule in rules if rule is not None)
    most = max(broken.values(), default=0.0)
    if forbidden and forbidden.most_common(1)[0][1] / len(rules) > most:
        rule, count = forbidden.most_common(1)[0]
        return f"the space forbids {rule}: {count / len(rules):.0%} of samples"
    if not most:
        return None
    name = max(broken, key=lambda metric: broken[metric])
    limit = spec.constraints[name]
    values = [cost[name] for cost in costs]
    extreme, nearest = ("smallest", min(values)) if limit.max is not None else ("largest", max(values))
    bound = f"at most {limit.max:,g}" if limit.max is not None else f"at least {limit.min:,g}"
    return (
        f"{name} ({bound}) rejects {broken[name]:.0%} of samples; "
        f"the {extreme} drawn has {figure_text(name, nearest)}"
    )


def _estimate(
    spec: StudySpec,
    dataset: DatasetView,
    feasible: Sequence[Figures],
    macs_per_s: float | None,
    workers: int,
) -> tuple[float | None, str]:
    if not feasible:
        return None, "no sample is feasible"
    if spec.budget.trials is None:
        return spec.budget.minutes, "the budget is in minutes"
    share = STOPPED_SHARE if spec.training.rungs else 1.0
    examples = dataset.train_examples * (1 - spec.training.validation_share)
    macs = mean(cost["macs"] for cost in feasible) * examples * spec.training.epochs * share * TRAINING_FACTOR
    speed = macs_per_s or DEFAULT_MACS_PER_S
    minutes = spec.budget.trials * macs / speed / max(1, workers) / 60
    source = "measured in earlier trials" if macs_per_s else "assumed, for nothing has been trained here yet"
    count = f"{max(1, workers)} worker{'s' if workers > 1 else ''}"
    basis = f"{count} at {speed / 1e9:.1f} GMAC/s a worker, {source}"
    # No guess is better than to a few per cent.
    minutes = float(f"{minutes:.3g}")
    if spec.budget.minutes is not None:
        return min(minutes, spec.budget.minutes), basis
    return minutes, basis


def training_speed(shapes: Sequence[tuple[float, float, float]]) -> float | None:
    """Return the median MACs a second from (macs, examples trained, seconds) of earlier trials."""
    speeds = [prod(shape[:2]) * TRAINING_FACTOR / shape[2] for shape in shapes if shape[2] > 0]
    return median(speeds) if speeds else None
