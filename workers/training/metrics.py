"""Figures of a classifier from its logits (N, C) and labels (N,).

A precision without predictions, a recall without examples and their F1 count as 0, as in scikit-learn.
Averages over classes ("macro") weigh all classes alike.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Precision, recall and F1 of each class, (C,) each."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def quality_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return every metric that a study can optimise, by its name there; `roc_auc` only where it exists."""
    figures = class_figures(confusion_matrix(logits, labels))
    share = accuracy(logits, labels)
    metrics = {
        "accuracy": share,
        "error": 1.0 - share,
        "f1_macro": float(figures.f1.mean()),
        "precision_macro": float(figures.precision.mean()),
        "recall_macro": float(figures.recall.mean()),
        "top3_accuracy": top_k_accuracy(logits, labels, 3),
    }
    area = roc_auc(logits, labels)
    return metrics if area is None else metrics | {"roc_auc": area}


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of examples whose largest logit is that of their label."""
    return int((logits.argmax(1) == labels).sum()) / len(labels)


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of examples whose label is among the k largest logits; 1 with at most k classes."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return int((best == labels[:, None]).any(1).sum()) / len(labels)


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """Return counts (C, C): rows are labels, columns predictions."""
    classes = logits.shape[1]
    cells = labels * classes + logits.argmax(1)
    return cells.bincount(minlength=classes * classes).reshape(classes, classes)


def class_figures(confusion: Tensor) -> ClassFigures:
    """Return each class's figures from a confusion matrix."""
    hits = confusion.diagonal().double()
    predicted, present = confusion.sum(0), confusion.sum(1)
    return ClassFigures(
        precision=hits / predicted.clamp_min(1),
        recall=hits / present.clamp_min(1),
        f1=2 * hits / (predicted + present).clamp_min(1),
    )


def roc_auc(logits: Tensor, labels: Tensor) -> float | None:
    """Return the area under the ROC curve of the softmax, each class against the rest, averaged over classes.

    The area is the probability that an example of the class scores above one of the rest, ties counting half
    (Hanley and McNeil 1982). Classes without examples, or without any rest, have none.
    """
    shares = logits.double().softmax(1)
    areas = [
        _area(shares[:, number], labels == number)
        for number in range(logits.shape[1])
        if 0 < int((labels == number).sum()) < len(labels)
    ]
    return sum(areas) / len(areas) if areas else None


def _area(scores: Tensor, is_member: Tensor) -> float:
    """Count the pairs in the right order from the ranks of the members' scores (Mann and Whitney 1947)."""
    _, places, counts = scores.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    # Equal scores share the mean of their ranks.
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[places].double()
    members, others = int(is_member.sum()), int((~is_member).sum())
    return float(ranks[is_member].sum() - members * (members + 1) / 2) / (members * others)


def perplexity(logits: Tensor, labels: Tensor) -> float:
    """Return e to the mean cross-entropy in nats: the number of classes for a guess, 1 for certainty."""
    return float(F.cross_entropy(logits.double(), labels).exp())
