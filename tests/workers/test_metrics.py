"""Metrics agree with scikit-learn, on guesses, ties and classes that nobody predicts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor

from nas_service.metrics import QUALITIES
from workers.training.metrics import (
    class_figures,
    confusion_matrix,
    perplexity,
    quality_metrics,
    roc_auc,
    top_k_accuracy,
)


def drawn(seed: int, classes: int, *, examples: int = 60, decimals: int = 2) -> tuple[Tensor, Tensor]:
    """Return logits with some ties, and labels in which every class stands."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, examples - classes)])
    logits = generator.standard_normal((examples, classes)) + 1.5 * np.eye(classes)[labels]
    return torch.from_numpy(logits.round(decimals)).float(), torch.from_numpy(labels)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7))
def test_figures_by_class_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    logits, labels = drawn(seed, classes)
    predicted = logits.argmax(1).numpy()
    confusion = confusion_matrix(logits, labels)
    assert confusion.tolist() == reference.confusion_matrix(labels, predicted).tolist()
    figures = class_figures(confusion)
    for average in (None, "macro"):
        expected = reference.precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0.0
        )[:3]
        for ours, theirs in zip((figures.precision, figures.recall, figures.f1), expected, strict=True):
            assert np.allclose(ours if average is None else ours.mean(), theirs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 7), st.integers(0, 2))
def test_roc_auc_and_top_k_are_those_of_scikit_learn(seed: int, classes: int, decimals: int) -> None:
    logits, labels = drawn(seed, classes, decimals=decimals)
    shares = logits.double().softmax(1).numpy()
    expected = reference.roc_auc_score(labels, shares, multi_class="ovr", average="macro")
    assert roc_auc(logits, labels) == pytest.approx(expected)
    untied = logits + torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)) * 1e-3
    for k in range(1, classes):
        expected = reference.top_k_accuracy_score(labels, untied, k=k)
        assert top_k_accuracy(untied, labels, k) == pytest.approx(expected)


def test_two_classes_have_one_area() -> None:
    logits, labels = drawn(0, 2)
    expected = reference.roc_auc_score(labels, logits.double().softmax(1)[:, 1])
    assert roc_auc(logits, labels) == pytest.approx(expected)


def test_an_area_needs_two_classes_of_labels() -> None:
    assert roc_auc(torch.eye(2), torch.zeros(2, dtype=torch.int64)) is None
    assert roc_auc(torch.eye(3)[:2], torch.tensor([0, 1])) == 1.0


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0]] * 3)
    figures = class_figures(confusion_matrix(logits, torch.tensor([0, 1, 2])))
    assert figures.precision.tolist() == [1 / 3, 0.0, 0.0]
    assert figures.recall.tolist() == [1.0, 0.0, 0.0]
    assert figures.f1.tolist() == [0.5, 0.0, 0.0]


def test_perplexity_is_the_number_of_classes_for_a_guess_and_one_for_certainty() -> None:
    labels = torch.arange(8)
    assert perplexity(torch.zeros(8, 8), labels) == pytest.approx(8.0)
    assert perplexity(100 * torch.eye(8), labels) == pytest.approx(1.0)
    assert perplexity(torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([0])) == pytest.approx(4.0)


def test_every_quality_that_a_study_can_name_is_reported() -> None:
    found = quality_metrics(*drawn(1, 5))
    assert found.keys() == QUALITIES
    assert all(0 <= value <= 1 for value in found.values())
    assert quality_metrics(*drawn(1, 2))["top3_accuracy"] == 1.0
