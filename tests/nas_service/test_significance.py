"""Which points of a front are tied, and what the others offer."""

from typing import Any

import numpy as np
import pytest

from nas_service.columns import Batch, Columns
from nas_service.significance import Z, binomial_error, noise_between, standard_error, tied
from nas_service.studies import Constraint, StudySpec
from nas_service.trade_offs import own_limits, steps, within
from nas_service.views import Confirmed, FrontMember

EXAMPLES = 1000


def member(number: int, **more: Any) -> FrontMember:
    values = {name: value for name, value in more.items() if name in ("accuracy", "params", "latency_ms")}
    rest = {name: value for name, value in more.items() if name not in values}
    return FrontMember(
        trial=100 + number, number=number, values=values, architecture={}, architecture_hash="", **rest
    )


def test_a_quality_has_the_binomial_error_and_a_cost_has_none() -> None:
    network = member(0, accuracy=0.9, params=1000.0)
    assert standard_error(network, "accuracy", EXAMPLES) == pytest.approx((0.9 * 0.1 / EXAMPLES) ** 0.5, 0.02)
    assert standard_error(network, "params", EXAMPLES) == 0.0
    assert binomial_error(1.0, 100) > 0.0


def test_the_deviation_over_seeds_counts_where_it_is_larger() -> None:
    def confirmed(deviation: float) -> FrontMember:
        figures = Confirmed(runs=3, mean={"accuracy": 0.9}, deviation={"accuracy": deviation}, optimism=None)
        return member(0, accuracy=0.9, confirmed=figures)

    assert standard_error(confirmed(0.05), "accuracy", EXAMPLES) == 0.05
    assert standard_error(confirmed(0.001), "accuracy", EXAMPLES) == binomial_error(0.9, EXAMPLES)


def test_a_latency_has_the_error_of_its_interval() -> None:
    network = member(0, latency_ms=1.0, latency_interval_ms=(0.9, 1.1))
    assert standard_error(network, "latency_ms", EXAMPLES) == pytest.approx(0.1 / Z)
    assert standard_error(member(0, latency_ms=1.0), "latency_ms", EXAMPLES) == 0.0


def test_costs_within_one_percent_are_no_difference() -> None:
    assert noise_between(member(0, params=1000.0), member(1, params=1008.0), "params", EXAMPLES) > 8.0


def test_a_front_is_thinned_to_what_differs_by_more_than_noise() -> None:
    # One standard error is 0.7 points at 95 %, so that 0.5 points are nothing and 4 are something.
    members = [
        member(0, accuracy=0.950, params=1000.0),
        member(1, accuracy=0.955, params=2000.0),
        member(2, accuracy=0.990, params=3000.0),
        member(3, accuracy=0.992, params=90000.0),
    ]
    assert tied(members, ["params", "accuracy"], EXAMPLES) == {1: 0, 3: 2}


def test_a_little_dearer_and_much_better_replaces_the_cheaper() -> None:
    members = [member(0, accuracy=0.90, params=1000.0), member(1, accuracy=0.99, params=1005.0)]
    assert tied(members, ["params", "accuracy"], EXAMPLES) == {0: 1}


def test_equal_networks_are_represented_by_one() -> None:
    members = [member(number, accuracy=0.9, params=1000.0) for number in range(3)]
    assert tied(members, ["params", "accuracy"], EXAMPLES) == {1: 0, 2: 0}
    assert tied([], ["params", "accuracy"], EXAMPLES) == {}


def test_a_step_says_what_a_round_amount_of_the_price_buys() -> None:
    members = [member(1, accuracy=0.98, params=45_000.0), member(0, accuracy=0.95, params=5_000.0)]
    (step,) = steps(members, "params", "accuracy", EXAMPLES)
    assert (step.start.number, step.end.number, step.price, step.per) == (0, 1, 40_000.0, 10_000.0)
    assert step.gain == pytest.approx(0.03)
    assert step.gain_per == pytest.approx(0.0075)
    assert 0 < step.noise < step.gain


def columns(*trials: tuple[str, float, float]) -> Columns:
    """Trials as (state, accuracy, params); what is infeasible was never trained."""
    count = len(trials)
    metrics = [
        {"params": params} if state == "infeasible" else {"params": params, "accuracy": accuracy}
        for state, accuracy, params in trials
    ]
    batch = Batch(
        numbers=list(range(count)),
        ids=list(range(count)),
        states=[state for state, _, _ in trials],  # type: ignore[misc]
        feasible=[state != "infeasible" for state, _, _ in trials],
        excluded=[False] * count,
        arms=["search"] * count,
        finished=[float(number) for number in range(count)],
        metrics=metrics,
    )
    return Columns.empty().changed(1, [batch])


SPEC = StudySpec(dataset="digits", constraints={"params": Constraint(max=50_000)})
TRIALS = columns(
    ("complete", 0.90, 1_000),
    ("complete", 0.95, 10_000),
    ("complete", 0.99, 40_000),
    ("pruned", 0.999, 500),
    ("infeasible", 0.0, 60_000),
    ("infeasible", 0.0, 90_000),
)


def test_a_tighter_limit_says_what_fits_and_what_it_costs() -> None:
    known = within(TRIALS, SPEC, {"params": 20_000}, "accuracy")
    assert (known.known, known.fitting.sum(), known.best) == (3, 2, 1)
    (cost,) = known.costs
    assert (cost.fitting, cost.beyond, cost.better) == (2, 1, 2)
    assert cost.gain == pytest.approx(0.04)
    assert known.untrained == 0


def test_nothing_is_known_beyond_the_limit_of_the_study() -> None:
    (cost,) = within(TRIALS, SPEC, own_limits(SPEC), "accuracy").costs
    assert (cost.beyond, cost.better, cost.gain) == (0, None, 0.0)


def test_a_looser_limit_counts_what_was_rejected_untrained() -> None:
    known = within(TRIALS, SPEC, {"params": 70_000}, "accuracy")
    assert (known.best, known.untrained) == (2, 1)


def test_a_looser_limit_leaves_the_study_s_other_bounds_in_force() -> None:
    bounds = {"params": Constraint(max=50_000, min=5_000), "accuracy": Constraint(min=0.96)}
    spec = StudySpec(dataset="digits", constraints=bounds)
    known = within(TRIALS, spec, {"params": 70_000}, "accuracy")
    assert np.flatnonzero(known.fitting).tolist() == [2]


def test_a_limit_that_nothing_keeps_has_no_best() -> None:
    known = within(TRIALS, SPEC, {"params": 10}, "accuracy")
    assert known.best is None
    assert known.costs[0].better == 2
    assert np.count_nonzero(known.fitting) == 0
