"""What a front says to somebody who has to choose: what more would buy, and what limits cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log10

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import Columns
from nas_service.metrics import METRICS
from nas_service.significance import noise_between
from nas_service.studies import StudySpec
from nas_service.views import FrontMember

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Step:
    """From one member of the significant front to the next dearer one."""

    start: FrontMember
    end: FrontMember
    # How much more is paid, in the unit of the price.
    price: float
    # How much better it gets; positive whatever the direction of the quality.
    gain: float
    # Half the 95 % interval of the gain.
    noise: float
    # A round amount of the price near what the step costs, and the gain for so much.
    per: float
    gain_per: float


def steps(members: Sequence[FrontMember], price: str, quality: str, examples: int) -> list[Step]:
    """Return what each further step along a significant front pays and gains, the cheapest first.

    Args:
        members: The significant front over both metrics.
        price: A metric to be minimised.
        quality: The other metric.
        examples: Size of the validation part.
    """
    sign = 1.0 if METRICS[quality].goal == "max" else -1.0
    ordered = sorted(members, key=lambda member: member.values[price])
    found = []
    for start, end in pairwise(ordered):
        paid = end.values[price] - start.values[price]
        gain = sign * (end.values[quality] - start.values[quality])
        if paid <= 0:
            continue
        # Ten thousand parameters, a tenth of a millisecond: the round amount below what was paid.
        per = 10.0 ** floor(log10(paid))
        noise = noise_between(start, end, quality, examples)
        found.append(Step(start, end, paid, gain, noise, per, gain / paid * per))
    return found


@dataclass(frozen=True, slots=True)
class LimitCost:
    """What one limit costs beside the others."""

    metric: str
    bound: float
    # Trained networks that keep this limit.
    fitting: int
    # Trained networks that break this limit alone.
    beyond: int
    # The number of the best of these, where it is better than all within.
    better: int | None
    # By how much it is better; 0 where nothing is, or nothing is within.
    gain: float


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """What is known within some limits."""

    # Trained networks that have all figures.
    known: int
    # Those of them that keep all limits.
    fitting: Mask
    # The number of the best of these.
    best: int | None
    costs: list[LimitCost]
    # Rejected untrained by the study's own limits, and within these.
    untrained: int


def within(columns: Columns, spec: StudySpec, limits: Mapping[str, float], quality: str) -> WithinLimits:
    """Return what is known of a study within other limits than its own.

    Where no limit is looser than the study's, what breaks one of the study's fits nowhere. Where one is, all
    are applied to the figures themselves; that of a latency is its median then.

    Args:
        columns: The trials' figures.
        spec: The study's own limits.
        limits: The highest value allowed, by metric.
        quality: What is to be as good as possible.
    """
    trained = columns.are("complete") & ~columns.excluded & np.isfinite(columns.values(quality))
    keeps = {name: columns.values(name) <= bound for name, bound in limits.items()}
    fitting = trained & _all([*keeps.values(), *_other_bounds(columns, spec)], len(columns))
    if not _is_any_looser(spec, limits):
        # The study itself has judged by its own, a latency by its statistic or interval.
        own = own_limits(spec)
        keeps |= {name: keeps[name] | columns.feasible for name in keeps if limits[name] == own.get(name)}
        fitting = trained & columns.feasible & _all(keeps.values(), len(columns))
    best = _best(columns, fitting, quality)
    costs = [_cost(columns, quality, trained, fitting, best, (name, limits[name]), keeps) for name in limits]
    rejected = columns.are("infeasible") & ~columns.excluded & _all(keeps.values(), len(columns))
    return WithinLimits(
        known=int(trained.sum()),
        fitting=fitting,
        best=best,
        costs=costs,
        untrained=int(rejected.sum()) if _is_any_looser(spec, limits) else 0,
    )


def _other_bounds(columns: Columns, spec: StudySpec) -> Iterator[Mask]:
    """Yield which trials keep each bound of a study that is not one of its `own_limits`."""
    for name, limit in spec.constraints.items():
        if limit.min is not None:
            yield columns.values(name) >= limit.min
        if limit.max is not None and name not in own_limits(spec):
            yield columns.values(name) <= limit.max


def own_limits(spec: StudySpec) -> dict[str, float]:
    """Return the study's upper bounds on what costs, by metric."""
    return {
        name: float(limit.max)
        for name, limit in spec.constraints.items()
        if limit.max is not None and METRICS[name].goal == "min" and METRICS[name].kind != "quality"
    }


def _is_any_looser(spec: StudySpec, limits: Mapping[str, float]) -> bool:
    return any(limits.get(name, float("inf")) > bound for name, bound in own_limits(spec).items())


def _cost(
    columns: Columns,
    quality: str,
    trained: Mask,
    fitting: Mask,
    best: int | None,
    limit: tuple[str, float],
    keeps: Mapping[str, Mask],
) -> LimitCost:
    name, bound = limit
    others = _all((mask for other, mask in keeps.items() if other != name), len(columns))
    # What has no figure is on neither side of a limit.
    broken = trained & others & ~keeps[name] & np.isfinite(columns.values(name))
    better = _best(columns, broken | fitting, quality)
    if better is not None and fitting[better]:
        better = None
    values = columns.values(quality)
    gain = 0.0 if better is None or best is None else abs(float(values[better] - values[best]))
    return LimitCost(name, bound, int((trained & keeps[name]).sum()), int(broken.sum()), better, gain)


def _best(columns: Columns, among: Mask, quality: str) -> int | None:
    """Return the number of the best; the earliest of equals."""
    numbers = np.flatnonzero(among)
    if not len(numbers):
        return None
    values = columns.values(quality)[numbers]
    place = values.argmax() if METRICS[quality].goal == "max" else values.argmin()
    return int(numbers[place])


def _all(masks: Iterable[Mask], count: int) -> Mask:
    result = np.ones(count, np.bool_)
    for mask in masks:
        result &= mask
    return result
