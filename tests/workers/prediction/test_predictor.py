"""Predictions on made-up devices, whose true latency is a known function of the layers."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from search_spaces import Architecture, Graph, RandomTrial, lower, resolve_space
from search_spaces.deployment import deployed
from search_spaces.graph import INPUT, GraphBuilder
from search_spaces.layers.attention import SqueezeExcitation
from search_spaces.layers.convolution import Convolution
from workers.prediction import MIN_MEASUREMENTS, MIN_MEASUREMENTS_WITH_PRIOR, LatencyPredictor
from workers.prediction.features import NAMES, features

# Milliseconds a call, a multiply-accumulate, an element.
FAST = {"calls": 2e-3, "macs": 2e-8, "work": 1e-7, "moved": 2e-7}
INTERPRETED = {"calls": 3e-2, "macs": 3e-8, "work": 1e-7, "moved": 5e-7}


@cache
def graphs(count: int, first: int = 0) -> tuple[Graph, ...]:
    space = resolve_space("multi_scale")
    seeds = range(first, first + count)
    return tuple(lower(space.sample(RandomTrial(seed), (1, 28, 28), 10)) for seed in seeds)


def true_ms(networks: Sequence[Graph], rates: dict[str, float], noise: float = 0.0) -> NDArray[np.float64]:
    """Return latencies with relative noise; thin groups cost four times what others cost."""
    costs = [rates.get(name.partition(".")[2], 0.0) * (4 if name == "grouped.macs" else 1) for name in NAMES]
    exact = np.array([features(network) @ costs for network in networks])
    return exact * np.exp(noise * np.random.default_rng(len(networks)).standard_normal(len(exact)))


@cache
def fitted(count: int, noise: float = 0.02) -> LatencyPredictor:
    """Return the predictor of the fast device, from so many measurements."""
    networks = graphs(count)
    return LatencyPredictor.fit(networks, true_ms(networks, FAST, noise))


def chain(layers: int) -> Graph:
    """Return a network of so many equal stages; none shrinks the map."""
    stage = {"branches": [[{"op": "conv", "channels": 16, "kernel": 3}]], "channels": 16}
    description = {"input_shape": [1, 16, 16], "classes": 10, "stages": [stage] * layers}
    return lower(Architecture.from_dict(description))


def test_a_device_is_learnt_from_a_hundred_measurements() -> None:
    unseen = graphs(60, first=1000)
    predicted = [each.median_ms for each in fitted(100).predict_all(unseen)]
    errors = np.abs(predicted / true_ms(unseen, FAST) - 1)
    assert np.mean(errors < 0.05) >= 0.9


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_an_interval_holds_as_many_latencies_as_it_says(level: float) -> None:
    unseen = graphs(200, first=1000)
    predictions = fitted(150, noise=0.1).predict_all(unseen, level=level)
    measured = true_ms(unseen, FAST, noise=0.1)
    held = [each.low_ms <= ms <= each.high_ms for each, ms in zip(predictions, measured, strict=True)]
    assert abs(np.mean(held) - level) <= 0.08


def test_ten_measurements_suffice_where_another_device_is_known() -> None:
    prior, few, unseen = fitted(100), graphs(10, first=500), graphs(60, first=1000)
    predictor = LatencyPredictor.fit(few, true_ms(few, INTERPRETED, 0.02), prior=prior)
    predicted = [each.median_ms for each in predictor.predict_all(unseen)]
    measured = true_ms(unseen, INTERPRETED)
    assert spearmanr(predicted, measured).statistic >= 0.95
    assert np.median(np.abs(predicted / measured - 1)) <= 0.1
    # The order on the known device is another one.
    assert spearmanr([each.median_ms for each in prior.predict_all(unseen)], measured).statistic < 0.93


def test_twice_the_layers_are_slower() -> None:
    predictor = fitted(100)
    assert predictor.predict(chain(2)).median_ms < predictor.predict(chain(4)).median_ms


def test_an_interval_holds_its_median_and_grows_with_its_level() -> None:
    predictor, network = fitted(60), chain(3)
    narrow, wide = predictor.predict(network, level=0.5), predictor.predict(network, level=0.95)
    assert wide.low_ms < narrow.low_ms < narrow.median_ms < narrow.high_ms < wide.high_ms
    assert narrow.median_ms == wide.median_ms


def test_the_same_measurements_give_the_same_predictions() -> None:
    networks = graphs(60)
    again = LatencyPredictor.fit(networks, true_ms(networks, FAST, 0.02))
    assert again.predict(chain(3)) == fitted(60).predict(chain(3))


def test_operator_classes_that_were_never_measured_are_named() -> None:
    chains = [chain(1 + number % 6) for number in range(MIN_MEASUREMENTS)]
    predictor = LatencyPredictor.fit(chains, true_ms(chains, FAST))
    gate = GraphBuilder((16, 16, 16))
    gate.add("conv", Convolution(16, (3, 3)), INPUT)
    gate.add("gate", SqueezeExcitation(4), 0)
    assert predictor.unmeasured(chain(2)) == ()
    assert predictor.unmeasured(gate.graph()) == ("gate",)


def test_one_and_many_are_predicted_alike() -> None:
    predictor, networks = fitted(60), graphs(5, first=1000)
    alone = [predictor.predict(network).median_ms for network in networks]
    assert [each.median_ms for each in predictor.predict_all(networks)] == pytest.approx(alone, rel=1e-9)
    assert predictor.predict_all([]) == []


def test_a_deployed_network_is_predicted_as_its_graph(multi_scale: Architecture) -> None:
    network = deployed(multi_scale)
    predictor = fitted(60)
    assert predictor.predict(network) == predictor.predict(network.graph)


def test_a_predictor_survives_pickling() -> None:
    predictor = fitted(60)
    assert pickle.loads(pickle.dumps(predictor)).predict(chain(3)) == predictor.predict(chain(3))


def test_too_few_measurements_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(ValueError, match=f"median_ms has 3 measurements.* at least {MIN_MEASUREMENTS}"):
        LatencyPredictor.fit(graphs(3), [1.0, 2.0, 3.0])


def test_too_few_measurements_beside_a_prior_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_MEASUREMENTS_WITH_PRIOR}"):
        LatencyPredictor.fit(graphs(3), [1.0, 2.0, 3.0], prior=fitted(60))


def test_networks_and_latencies_of_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"median_ms \(50\) must have one entry a network \(60\)"):
        LatencyPredictor.fit(graphs(60), np.ones(50))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_latencies_that_are_no_times_are_refused(wrong: float) -> None:
    latencies = true_ms(graphs(60), FAST)
    latencies[7] = wrong
    with pytest.raises(ValueError, match=r"median_ms\[7\] .* must be positive and finite"):
        LatencyPredictor.fit(graphs(60), latencies)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5])
def test_levels_outside_zero_and_one_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=rf"level \({level}\) must lie between 0 and 1"):
        fitted(60).predict(chain(2), level=level)


def test_predicting_needs_no_torch() -> None:
    code = "import sys, workers.prediction; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
