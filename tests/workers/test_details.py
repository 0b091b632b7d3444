"""What is kept of a network's answers: figures as scikit-learn has them, places in the data set."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from nas_service.datasets import Dataset
from nas_service.evaluation import read_details
from nas_service.studies import Recipe, StudySpec, Training
from search_spaces import Architecture
from search_spaces.modules import build
from workers import details
from workers.data.arrays import TrainingData, training_data
from workers.evaluation import Evaluation, evaluate
from workers.latency import measure

RECIPE = Recipe()


def answers(data: TrainingData, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits that are right more often than not, with the labels of the validation part."""
    labels = data.validation.labels
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal((len(labels), data.classes)))
    return (drawn + 1.5 * torch.eye(data.classes)[labels]).float(), labels


def evaluated(architecture: Architecture, data: Callable[[], TrainingData]) -> Evaluation:
    study = StudySpec(dataset="digits", training=Training(epochs=1))
    return evaluate(
        architecture.to_dict(),
        study,
        data,
        seed=1,
        on_epoch=lambda report: "continue",
        latency=lambda network: measure(network, "cpu", time_cap_s=0.05),
    )


def test_figures_are_those_of_scikit_learn(digits_data: TrainingData) -> None:
    logits, labels = answers(digits_data)
    found, predicted = details.details_of(logits, labels, digits_data, RECIPE), logits.argmax(1)
    assert found.confusion is not None
    assert np.array_equal(found.confusion, reference.confusion_matrix(labels, predicted))
    expected = reference.precision_recall_fscore_support(labels, predicted)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(score, name) for score in found.scores] == pytest.approx(column.tolist())
    assert found.f1_macro == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found.mistakes == sum(pair.count for pair in found.confused) == len(found.misclassified)


def test_mistakes_come_most_confident_first_and_name_their_place(digits_dataset: Dataset) -> None:
    # Without a test part of its own, one is set aside before the split.
    data = training_data(digits_dataset, 1 / 6, 3)
    logits, labels = answers(data)
    found = details.details_of(logits, labels, data, RECIPE).misclassified
    shares = [mistake.probability for mistake in found]
    assert shares == sorted(shares, reverse=True)
    assert [mistake.true for mistake in found] == digits_dataset.y_train[[m.index for m in found]].tolist()
    examples = torch.from_numpy(digits_dataset.x_train[data.validation_indices.numpy()])
    assert torch.equal(examples, data.validation.examples)


def test_a_binary_loss_gives_the_probability_of_one_class_alone(digits_data: TrainingData) -> None:
    logits, labels = answers(digits_data)
    binary = Recipe(loss="binary_cross_entropy")
    found = details.details_of(logits, labels, digits_data, binary)
    assert found.probability == "sigmoid"
    wrong = logits[logits.argmax(1) != labels]
    assert found.misclassified[0].probability == pytest.approx(float(wrong.max().sigmoid()), abs=1e-6)


def test_many_classes_leave_pairs_instead_of_a_matrix(digits_data: TrainingData) -> None:
    logits = torch.eye(150)[torch.arange(150).roll(1)]
    found = details.details_of(logits, torch.arange(150), digits_data, RECIPE)
    assert found.confusion is None
    assert len(found.scores) == len(found.confused) == 150


def test_a_trial_keeps_the_details_of_its_last_epoch(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    evaluation = evaluated(multi_scale, lambda: digits_data)
    found = read_details(evaluation.files["evaluation"])
    assert found.accuracy == pytest.approx(evaluation.metrics["accuracy"])
    assert found.f1_macro == pytest.approx(evaluation.metrics["f1_macro"])
    assert len(evaluation.files["evaluation"]) < 40_000


def test_details_that_cannot_be_made_cost_no_trial(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    placeless = replace(digits_data, validation_indices=torch.zeros(0, dtype=torch.int64))
    evaluation = evaluated(multi_scale, lambda: placeless)
    assert evaluation.state == "complete"
    assert evaluation.files.keys() == {"weights", "architecture"}


def test_a_silenced_branch_that_decides_costs_accuracy_and_a_dead_one_none(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    network = build(multi_scale, seed=0)
    with torch.no_grad():
        network.get_parameter("stage2.branch1.conv1.weight").zero_()
    found = details.contributions(network, digits_data, RECIPE, batch=64, limit=10_000)
    assert found is not None
    assert found.examples == len(digits_data.validation)
    without = {branch.branch: branch.accuracy_without for branch in found.branches}
    assert without.keys() == {f"stage{stage}.branch{branch}" for stage in (1, 2) for branch in (1, 2)}
    assert without["stage2.branch1"] == found.accuracy


def test_branches_are_not_measured_where_that_costs_more_than_training_allows(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    network = build(multi_scale, seed=0)
    few = 5 * 250
    assert details.contributions(network, digits_data, RECIPE, batch=64, limit=few) is not None
    assert details.contributions(network, digits_data, RECIPE, batch=64, limit=few - 1) is None
