"""What can be said of a study before any training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean, median

from nas_service.constraints import enforced, violation, violations
from nas_service.metrics import METRICS, bound_text, figure_text
from nas_service.slack import limit_hints
from nas_service.space_sample import space_sample
from nas_service.studies import StudySpec
from nas_service.views import DatasetView, Preflight
from search_spaces import SearchSpace

# What one core trains, a modest guess: multiply-accumulates a second, and what an example costs beside them,
# which is most of the time for tiny networks. How much faster or slower this machine is, trials show.
MACS_PER_S = 8e9
EXAMPLE_S = 5e-5
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
    pace: float | None,
    workers: int,
) -> Preflight:
    """Sample the space and report what is feasible, how large it is, and how long the search may take.

    Args:
        spec: The study.
        space: Its resolved space.
        dataset: Its data set.
        samples: How many architectures to draw.
        pace: By which factor a worker of this installation trains longer than was guessed, from
            `training_pace`; None if nothing was trained yet.
        workers: How many workers train.
    """
    sample = space_sample(space, dataset.input_shape, dataset.classes, samples)
    costs, rules = sample.costs, sample.rules
    exact = {name: limit for name, limit in spec.constraints.items() if METRICS[name].kind == "cost"}
    limits = enforced(exact)
    excess = [violations(cost, limits) for cost in costs]
    feasible = [
        cost
        for cost, off, rule in zip(costs, excess, rules, strict=True)
        if rule is None and all(value <= 0 for value in off.values())
    ]
    broken = {name: mean(violation(cost[name], exact[name]) > 0 for cost in costs) for name in exact}
    minutes, basis = _estimate(spec, dataset, feasible, pace, workers)
    return Preflight(
        sampled=samples,
        distinct=sample.distinct,
        combinations=space.size(),
        feasible_share=len(feasible) / samples,
        forbidden_share=mean(rule is not None for rule in rules),
        broken_share={name: broken[name] for name in limits},
        soft_share={name: share for name, share in broken.items() if name not in limits},
        binding=_binding(spec, {name: broken[name] for name in limits}, costs, rules),
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
        return f"the space forbids {rule}: {100 * count / len(rules):.0f} % of samples"
    if not most:
        return None
    name = max(broken, key=lambda metric: broken[metric])
    limit = spec.constraints[name]
    values = [cost[name] for cost in costs]
    extreme, nearest = ("smallest", min(values)) if limit.max is not None else ("largest", max(values))
    side, bound = ("at most", limit.max) if limit.max is not None else ("at least", limit.min)
    return (
        f"{name} ({side} {bound_text(bound or 0.0)}) rejects {100 * broken[name]:.0f} % of samples; "
        f"the {extreme} drawn has {figure_text(name, nearest)}"
    )


def _estimate(
    spec: StudySpec,
    dataset: DatasetView,
    feasible: Sequence[Figures],
    pace: float | None,
    workers: int,
) -> tuple[float | None, str]:
    if not feasible:
        return None, "no sample is feasible"
    if spec.budget.trials is None:
        return spec.budget.minutes, "the budget is in minutes"
    share = STOPPED_SHARE if spec.training.rungs else 1.0
    examples = dataset.train_examples * (1 - spec.training.validation_share)
    each_s = mean(_seconds(cost["macs"], examples) for cost in feasible) * spec.training.epochs * share
    minutes = spec.budget.trials * each_s * (pace or 1.0) / max(1, workers) / 60
    source = "at the pace of earlier trials" if pace else "a guess, for nothing has been trained here yet"
    basis = f"{max(1, workers)} worker{'s' if workers > 1 else ''}, {source}"
    # No guess is better than to a few per cent.
    minutes = float(f"{minutes:.3g}")
    if spec.budget.minutes is not None:
        return min(minutes, spec.budget.minutes), basis
    return minutes, basis


def _seconds(macs: float, examples: float) -> float:
    """Return the guess of how long one core trains a network with so many examples."""
    return examples * (EXAMPLE_S + macs * TRAINING_FACTOR / MACS_PER_S)


def training_pace(trained: Sequence[tuple[float, float, float]]) -> float | None:
    """Return by which factor trials took longer than was guessed, the median.

    Args:
        trained: Their (macs, examples trained, seconds).
    """
    ratios = [
        seconds / _seconds(macs, examples) for macs, examples, seconds in trained if examples and seconds > 0
    ]
    return median(ratios) if ratios else None
