"""What is kept of a network's answers on the validation part, beside its figures."""

import logging
from dataclasses import replace

import torch
from torch import Tensor

from nas_service.evaluation import (
    MOST_CLASSES_IN_A_MATRIX,
    MOST_CONFUSED_PAIRS,
    MOST_MISCLASSIFIED,
    BranchContribution,
    ClassScore,
    ConfusedPair,
    Contributions,
    EvaluationDetails,
    Misclassified,
)
from nas_service.studies import Recipe
from search_spaces.modules.network import Network
from workers.ablation import branch_ends, silenced
from workers.data.arrays import Part, TrainingData
from workers.training.batches import gathered
from workers.training.metrics import class_figures, confusion_matrix
from workers.training.trainer import predictions

log = logging.getLogger("nas.worker")
# What measuring the branches may take of the work of training, in which an example counts three times: once
# forward, and twice backward. Counted, not timed: an interrupted trial ends with the same files.
ABLATION_SHARE = 0.03
STEP_PASSES = 3
# On so many validation examples, the more the better.
ABLATION_EXAMPLES = (1000, 250)


def evaluation_file(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    answers: tuple[Tensor, Tensor],
    *,
    batch: int,
    trained_examples: int,
) -> bytes | None:
    """Return the file of kind "evaluation"; None where it cannot be made, which costs a trial nothing.

    Args:
        network: As it was trained.
        data: With the validation part that was answered.
        recipe: Its loss decides what a probability is.
        answers: Logits (N, classes) and labels (N,) of the validation part, in order.
        batch: How many examples fit through the network at once.
        trained_examples: By how many, counted in each epoch, it was trained.
    """
    try:
        details = details_of(*answers, data, recipe)
        limit = int(ABLATION_SHARE * STEP_PASSES * trained_examples)
        added = contributions(network, data, recipe, batch=batch, limit=limit)
        return details.model_copy(update={"contributions": added}).model_dump_json().encode()
    except Exception:
        log.exception("no details of the evaluation are kept")
        return None


def details_of(logits: Tensor, labels: Tensor, data: TrainingData, recipe: Recipe) -> EvaluationDetails:
    """Return how logits (N, classes) answer the validation part's labels (N,)."""
    logits, labels = logits.cpu(), labels.cpu()
    confusion = confusion_matrix(logits, labels)
    figures, support = class_figures(confusion), confusion.sum(1)
    is_binary = recipe.loss == "binary_cross_entropy"
    classes = len(confusion)
    return EvaluationDetails(
        examples=len(labels),
        correct=int(confusion.diagonal().sum()),
        probability="sigmoid" if is_binary else "softmax",
        confusion=confusion.tolist() if classes <= MOST_CLASSES_IN_A_MATRIX else None,
        confused=_confused(confusion),
        f1_macro=float(figures.f1.mean()),
        scores=tuple(
            ClassScore(precision=precision, recall=recall, f1=f1, support=count)
            for precision, recall, f1, count in zip(
                figures.precision.tolist(),
                figures.recall.tolist(),
                figures.f1.tolist(),
                support.tolist(),
                strict=True,
            )
        ),
        misclassified=_misclassified(
            logits.sigmoid() if is_binary else logits.softmax(1), labels, data.validation_indices
        ),
    )


def contributions(
    network: Network, data: TrainingData, recipe: Recipe, *, batch: int, limit: int
) -> Contributions | None:
    """Return what each branch that has company adds; None where there is none, or it would take too long.

    Args:
        network: As it was trained.
        data: With the validation part, of which evenly spaced examples are taken.
        recipe: How examples are normalised.
        batch: How many examples fit through the network at once.
        limit: How many examples may pass through the network, each as often as it does.
    """
    ends = branch_ends(network)
    counts = [min(count, len(data.validation)) for count in ABLATION_EXAMPLES]
    count = next((count for count in counts if (len(ends) + 1) * count <= limit), None)
    if not ends or count is None:
        return None
    some = replace(data, validation=_spaced(data.validation, count))
    found = []
    for branch, node in ends.items():
        with silenced(network, node):
            found.append((branch, _accuracy(network, some, recipe, batch)))
    return Contributions(
        examples=count,
        accuracy=_accuracy(network, some, recipe, batch),
        branches=tuple(BranchContribution(branch=name, accuracy_without=share) for name, share in found),
    )


def _confused(confusion: Tensor) -> tuple[ConfusedPair, ...]:
    mistakes = confusion.clone().fill_diagonal_(0)
    true, predicted = mistakes.nonzero(as_tuple=True)
    counts = mistakes[true, predicted]
    order = counts.argsort(descending=True, stable=True)[:MOST_CONFUSED_PAIRS]
    rows = zip(true[order].tolist(), predicted[order].tolist(), counts[order].tolist(), strict=True)
    return tuple(ConfusedPair(true=a, predicted=b, count=count) for a, b, count in rows)


def _misclassified(shares: Tensor, labels: Tensor, indices: Tensor) -> tuple[Misclassified, ...]:
    best, predicted = shares.max(1)
    wrong = (predicted != labels).nonzero().flatten()
    wrong = wrong[best[wrong].argsort(descending=True, stable=True)][:MOST_MISCLASSIFIED]
    rows = zip(
        indices[wrong].tolist(),
        labels[wrong].tolist(),
        predicted[wrong].tolist(),
        best[wrong].double().tolist(),
        strict=True,
    )
    return tuple(
        Misclassified(index=index, true=true, predicted=taken, probability=round(share, 6))
        for index, true, taken, share in rows
    )


def _spaced(part: Part, count: int) -> Part:
    """Return evenly spaced examples: data sets often lie sorted by class."""
    members = torch.arange(count, device=part.labels.device) * len(part) // count
    return Part(gathered(part.examples, members), part.labels[members])


def _accuracy(network: Network, data: TrainingData, recipe: Recipe, batch: int) -> float:
    correct = torch.zeros((), dtype=torch.int64, device=data.device)
    for logits, labels in predictions(network, data, recipe, batch=batch):
        correct += (logits.argmax(1) == labels).sum()
    return int(correct) / len(data.validation)
