"""One candidate: limits first, then latency, then training; whatever goes wrong has a reason."""

import json
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load

from nas_service.datasets import Dataset
from nas_service.measurements import Measurement
from nas_service.metrics import METRICS, QUALITIES
from nas_service.studies import Constraint, Objective, Recipe, StudySpec, Training
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture
from workers.checkpoint import read_network
from workers.data.arrays import TrainingData, training_data
from workers.data.split import SplitError
from workers.evaluation import Evaluation, evaluate
from workers.interruption import Interrupted
from workers.latency import measure
from workers.training.trainer import validate


class Untouched:
    """Data that must never be asked for."""

    def __call__(self) -> TrainingData:
        raise AssertionError("a rejected candidate must not be trained")


def run(architecture: Architecture, data: Any, **spec: Any) -> tuple[Evaluation, list[EpochReport]]:
    reports: list[EpochReport] = []

    def on_epoch(report: EpochReport) -> Instruction:
        reports.append(report)
        return "continue"

    study = StudySpec(dataset="digits", training=Training(epochs=3), **spec)
    return evaluate(architecture.to_dict(), study, data, seed=1, on_epoch=on_epoch, latency=measured), reports


def measured(architecture: Architecture) -> Measurement:
    return measure(architecture, "cpu", time_cap_s=0.05)


def test_a_candidate_over_an_analytic_limit_is_neither_measured_nor_trained(
    multi_scale: Architecture,
) -> None:
    evaluation, reports = run(multi_scale, Untouched(), constraints={"params": Constraint(max=100)})
    assert evaluation.state == "infeasible"
    assert evaluation.reason is not None
    assert "params" in evaluation.reason
    assert evaluation.latency is None
    assert reports == []


def test_a_candidate_over_the_latency_limit_is_measured_and_not_trained(multi_scale: Architecture) -> None:
    evaluation, reports = run(multi_scale, Untouched(), constraints={"latency_ms": Constraint(max=1e-6)})
    assert evaluation.state == "infeasible"
    assert evaluation.latency is not None
    assert evaluation.violations["latency_ms"] > 0
    assert reports == []


def test_a_candidate_over_soft_limits_is_trained_all_the_same(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    limits = {"params": Constraint(max=100, soft=True), "latency_ms": Constraint(max=1e-6, soft=True)}
    evaluation, reports = run(multi_scale, lambda: digits_data, constraints=limits)
    assert evaluation.state == "complete"
    assert len(reports) == 3
    assert min(evaluation.violations[name] for name in limits) > 0


@pytest.mark.parametrize("ending", ["stopped", "lost"])
def test_a_candidate_whose_latency_is_not_waited_for_ends_without_a_result(
    ending: Literal["stopped", "lost"], multi_scale: Architecture
) -> None:
    def interrupted(architecture: Architecture) -> Measurement:
        raise Interrupted(ending)

    evaluation = evaluate(
        multi_scale.to_dict(),
        StudySpec(dataset="digits"),
        Untouched(),
        seed=1,
        on_epoch=lambda report: "continue",
        latency=interrupted,
    )
    assert (evaluation.state, evaluation.error) == (ending, None)


def test_a_complete_candidate_carries_figures_files_and_latency(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    evaluation, reports = run(
        multi_scale, lambda: digits_data, constraints={"params": Constraint(max=50_000)}
    )
    assert evaluation.state == "complete"
    assert METRICS.keys() <= evaluation.metrics.keys()
    assert evaluation.metrics["accuracy"] + evaluation.metrics["error"] == pytest.approx(1.0)
    assert evaluation.timings["training_s"] > 0
    assert reports[0].metrics == {"latency_ms": evaluation.metrics["latency_ms"]}
    assert evaluation.latency is not None
    assert evaluation.latency == Measurement.model_validate(evaluation.latency).model_dump(mode="json")
    assert evaluation.metrics["latency_ms"] == evaluation.latency["median_ms"]
    json.dumps([evaluation.metrics, evaluation.latency, evaluation.timings], allow_nan=False)


def test_the_stored_files_are_the_network_that_was_scored(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    evaluation, _ = run(multi_scale, lambda: digits_data)
    network = read_network(evaluation.files["architecture"], evaluation.files["weights"])
    assert validate(network, digits_data)[1] == evaluation.metrics["accuracy"]


def test_weights_are_drawn_as_the_recipe_says(multi_scale: Architecture, digits_data: TrainingData) -> None:
    still = Recipe(initialisation="orthogonal", learning_rate=1e-12, weight_decay=0.0)
    study = StudySpec(dataset="digits", training=Training(epochs=1, recipe=still))
    evaluation = evaluate(
        multi_scale.to_dict(),
        study,
        lambda: digits_data,
        seed=1,
        on_epoch=lambda report: "continue",
        latency=measured,
    )
    weight = load(evaluation.files["weights"])["head.logits.weight"]
    assert torch.allclose(weight @ weight.T, torch.eye(10), atol=1e-5)


def test_a_limit_on_a_quality_is_judged_after_training(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    limits = {"f1_macro": Constraint(min=1.1), "params": Constraint(max=50_000)}
    evaluation, _ = run(multi_scale, lambda: digits_data, constraints=limits)
    assert evaluation.state == "complete"
    assert evaluation.violations["f1_macro"] > 0 > evaluation.violations["params"]


def test_a_candidate_that_is_stopped_early_is_measured_as_far_as_it_came(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    study = StudySpec(dataset="digits", objectives=(Objective(metric="f1_macro"),))
    evaluation = evaluate(
        multi_scale.to_dict(),
        study,
        lambda: digits_data,
        seed=1,
        on_epoch=lambda report: "prune",
        latency=measured,
    )
    assert (evaluation.state, evaluation.timings["trained_epochs"]) == ("pruned", 1)
    assert evaluation.metrics.keys() >= QUALITIES


def huge() -> Dataset:
    """Return data at the end of the range of floats."""
    examples = np.full((40, 1, 8, 8), np.float32(3e38))
    examples[::2] = -3e38
    labels = (np.arange(40) % 2).astype(np.int64)
    return Dataset("huge", examples, labels, None, None, ("a", "b"))


def test_diverging_training_fails_with_the_epoch(multi_scale: Architecture) -> None:
    evaluation, _ = run(multi_scale, lambda: training_data(huge(), 0.25, 0))
    assert evaluation.state == "failed"
    assert evaluation.reason is not None
    assert "epoch 1" in evaluation.reason
    assert evaluation.files == {}


def test_diverging_training_counts_with_the_worst_qualities_where_the_spec_says_so(
    multi_scale: Architecture,
) -> None:
    study = StudySpec(
        dataset="digits",
        training=Training(epochs=2, divergence="worst"),
        constraints={"accuracy": Constraint(min=0.5)},
    )
    data = training_data(huge(), 0.25, 0)
    evaluation = evaluate(
        multi_scale.to_dict(),
        study,
        lambda: data,
        seed=1,
        on_epoch=lambda report: "continue",
        latency=measured,
    )
    assert evaluation.state == "pruned"
    assert evaluation.reason == (
        "diverged in epoch 1: the loss is nan; counted with the worst value of each quality"
    )
    assert {name: evaluation.metrics[name] for name in QUALITIES} == {
        name: float(name == "error") for name in QUALITIES
    }
    assert evaluation.violations["accuracy"] > 0
    assert evaluation.metrics["latency_ms"] > 0


def test_data_that_cannot_be_split_end_the_study(multi_scale: Architecture) -> None:
    def broken() -> TrainingData:
        raise SplitError("class 3 has 1 example")

    evaluation, _ = run(multi_scale, broken)
    assert (evaluation.state, evaluation.ends_study) == ("failed", True)
    assert evaluation.reason == "the data cannot be split: class 3 has 1 example"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory: no limit is set on this process"),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
            "out of memory: no limit is set on this process",
        ),
        (KeyError("missing"), "KeyError: 'missing'"),
    ],
)
def test_whatever_goes_wrong_becomes_a_failed_evaluation(
    error: Exception, reason: str, multi_scale: Architecture
) -> None:
    def broken() -> TrainingData:
        raise error

    evaluation, _ = run(multi_scale, broken)
    assert (evaluation.state, evaluation.reason) == ("failed", reason)
