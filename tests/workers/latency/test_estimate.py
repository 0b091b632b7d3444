"""One latency from many rounds: drift is divided out, disturbed rounds do not count, intervals hold."""

from collections.abc import Callable

import numpy as np
import pytest

from workers.latency.estimate import Round, drift_divided, estimate, median_interval

Rounds = Callable[..., list[Round]]
UNDISTURBED_S = 1e-4


def test_drift_is_divided_out_exactly(make_rounds: Rounds) -> None:
    drifting = make_rounds([(1 + 0.002 * step, 1 + 0.002 * step) for step in range(40)], each=1)
    found = estimate(drifting, UNDISTURBED_S)
    assert found.median_s == pytest.approx(2e-4)
    assert (found.low_s, found.high_s) == (pytest.approx(2e-4), pytest.approx(2e-4))
    assert not found.is_noisy


def test_a_reference_ahead_of_its_undisturbed_time_slows_the_latency_down_to_it(make_rounds: Rounds) -> None:
    assert estimate(make_rounds([(1.0, 0.95)]), UNDISTURBED_S).median_s == pytest.approx(2e-4 / 0.95)


def test_disturbed_rounds_do_not_count_though_they_are_the_most(make_rounds: Rounds) -> None:
    rounds = make_rounds([(1.0, 1.0)], each=6) + make_rounds([(1.6, 1.4)], each=100)
    found = estimate(rounds, UNDISTURBED_S)
    assert found.median_s == pytest.approx(2e-4)
    assert found.reference_s == pytest.approx(1e-4)
    assert not found.is_noisy


def test_a_round_is_disturbed_when_either_probe_was() -> None:
    times = np.array([2e-4])
    assert Round(times, 1.2e-4, 1e-4).is_disturbed(UNDISTURBED_S)
    assert Round(times, 1e-4, 1.2e-4).is_disturbed(UNDISTURBED_S)
    assert not Round(times, 1.05e-4, 1.05e-4).is_disturbed(UNDISTURBED_S)


@pytest.mark.parametrize("sensitivity", [0.7, 1.0, 1.3])
def test_where_all_rounds_were_disturbed_the_interval_still_holds_the_truth(
    sensitivity: float, make_rounds: Rounds
) -> None:
    found = estimate(make_rounds([(1.4**sensitivity, 1.4)]), UNDISTURBED_S)
    assert found.low_s < 2e-4 < found.high_s
    assert found.reference_s == pytest.approx(1.4e-4)
    assert found.is_noisy


def test_three_undisturbed_rounds_are_enough_for_a_figure_but_not_for_an_interval(
    make_rounds: Rounds,
) -> None:
    rounds = make_rounds([(1.0, 1.0)], each=3) + make_rounds([(1.6, 1.4)], each=100)
    found = estimate(rounds, UNDISTURBED_S)
    assert found.median_s == pytest.approx(2e-4)
    assert found.is_noisy


def test_rounds_that_disagree_are_noisy(make_rounds: Rounds) -> None:
    assert estimate(make_rounds([(1.0, 1.0), (1.08, 1.0)]), UNDISTURBED_S).is_noisy


def test_a_single_round_is_a_noisy_estimate(make_rounds: Rounds) -> None:
    found = estimate(make_rounds([(1.0, 1.0)], each=1), UNDISTURBED_S)
    assert found.median_s == pytest.approx(2e-4)
    assert found.is_noisy


def test_each_round_is_divided_by_its_own_reference() -> None:
    divided = drift_divided(np.array([3.0, 3.3]), np.array([1.5, 1.1]), 1.0)
    assert divided.tolist() == pytest.approx([2.0, 3.0])


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 0, 0), (5, 0, 4), (6, 0, 5), (8, 0, 7), (9, 1, 7), (20, 5, 14), (100, 39, 60), (2000, 955, 1044)],
)
def test_the_interval_ends_at_the_ranks_of_the_sign_test(count: int, low: int, high: int) -> None:
    # Conover, Practical Nonparametric Statistics, table A3: the 6th and 15th of 20, the 40th and 61st of 100.
    values = np.random.default_rng(0).permutation(count).astype(float)
    assert median_interval(values) == (low, high)


@pytest.mark.parametrize("count", [6, 15, 45])
def test_the_interval_holds_the_true_median_in_at_least_95_of_100_samples(count: int) -> None:
    generator, samples = np.random.default_rng(1), 4000
    # Timings are skewed: long ones are further away than short ones.
    drawn = generator.lognormal(0.0, 0.3, (samples, count))
    intervals = np.array([median_interval(each) for each in drawn])
    held = np.mean((intervals[:, 0] <= 1.0) & (intervals[:, 1] >= 1.0))
    # Three deviations of the simulation itself below 95 %.
    assert held >= 0.95 - 3 * (0.95 * 0.05 / samples) ** 0.5


def test_the_estimate_comes_nearer_to_the_truth_than_the_plain_median() -> None:
    generator = np.random.default_rng(2)
    busy = generator.random(200) < 0.7
    drift = 1 + 0.05 * np.sin(np.arange(200) / 20)
    rounds = [
        Round(
            2e-4 * slow * (1.6 if is_busy else 1.0) * (1 + generator.exponential(0.01, 5)),
            1e-4 * slow * (1.4 if is_busy else 1.0),
            1e-4 * slow * (1.4 if is_busy else 1.0),
        )
        for slow, is_busy in zip(drift, busy, strict=True)
    ]
    plain = float(np.median([each.shortest_s for each in rounds]))
    assert abs(estimate(rounds, UNDISTURBED_S).median_s / 2e-4 - 1) < 0.01 < 0.3 < plain / 2e-4 - 1
