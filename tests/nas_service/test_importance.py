"""Importances against Optuna's own."""

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import distribution_to_json
from optuna.importance import PedAnovaImportanceEvaluator

from nas_service.importance import importances
from nas_service.param_table import ParamTable


def objective(trial: optuna.Trial) -> float:
    """Numbers of every kind, choices of mixed types, and parameters that others decide about."""
    x = trial.suggest_float("x", -5, 5)
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    width = trial.suggest_int("width", 8, 64, step=8)
    depth = trial.suggest_int("depth", 1, 512, log=True)
    kind = trial.suggest_categorical("kind", ["none", 4, True, 1])
    trial.suggest_categorical("only", ["one"])
    found = x**2 + abs(np.log10(rate) + 2) + abs(width - 32) / 16 + depth / 200
    if kind == 4 and not isinstance(kind, bool):
        found -= 3 * trial.suggest_float("bonus", 0, 1)
    # Its domain depends on another parameter.
    found += trial.suggest_int("level", 0, 3 if x > 0 else 9) * 0.1
    return float(found)


def table_of(study: optuna.Study) -> ParamTable:
    table = ParamTable()
    rows = [
        (t.number, t.params, {name: distribution_to_json(d) for name, d in t.distributions.items()})
        for t in study.trials
    ]
    table.take(rows, len(rows))
    return table


@pytest.mark.parametrize("count", [2, 7, 150])
def test_importances_equal_those_of_optuna(count: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=count))
    study.optimize(objective, n_trials=count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = PedAnovaImportanceEvaluator().evaluate(study)
    losses = np.array([trial.value for trial in study.trials], np.float64)
    found = importances(table_of(study).among(np.ones(count, np.bool_)), losses)
    assert found.values.keys() == expected.keys()
    assert list(found.values.values()) == sorted(found.values.values(), reverse=True)
    for name, value in expected.items():
        assert found.values[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_trials_without_a_value_are_left_out_and_absent_parameters_too() -> None:
    table = ParamTable()
    domain = '{"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "log": false, "step": null}}'
    rows: list[Any] = [(n, {"x": n / 20}, {"x": domain}) for n in range(20)]
    table.take(rows[:1], 1)
    table.take([*rows[1:], (20, {"late": 1.0}, {"late": domain})], 21)
    losses = np.arange(21.0)
    losses[5] = np.nan
    mask = np.arange(21) < 20
    found = importances(table.among(mask), losses[mask])
    assert (found.trials, found.best, list(found.values)) == (19, 2, ["x"])
    assert found.values["x"] > 0
