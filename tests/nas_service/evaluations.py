"""A trial's evaluation as a worker would keep it, for tests of what is shown of it."""

from typing import Any

from nas_service.evaluation import (
    BranchContribution,
    ClassScore,
    ConfusedPair,
    Contributions,
    EvaluationDetails,
    Misclassified,
)


def make_details(**changes: Any) -> EvaluationDetails:
    """Return the evaluation of ten classes with 25 examples each, of which three were taken for another."""
    confusion = [[25 * (row == column) for column in range(10)] for row in range(10)]
    for true, predicted, count in ((8, 1, 2), (4, 9, 1)):
        confusion[true][true] -= count
        confusion[true][predicted] += count
    recalls = [row[number] / 25 for number, row in enumerate(confusion)]
    precisions = [
        row[number] / sum(line[number] for line in confusion) for number, row in enumerate(confusion)
    ]
    scores = tuple(
        ClassScore(precision=p, recall=r, f1=2 * p * r / (p + r), support=25)
        for p, r in zip(precisions, recalls, strict=True)
    )
    values: dict[str, Any] = {
        "examples": 250,
        "correct": 247,
        "probability": "softmax",
        "confusion": confusion,
        "confused": (
            ConfusedPair(true=8, predicted=1, count=2),
            ConfusedPair(true=4, predicted=9, count=1),
        ),
        "f1_macro": sum(score.f1 for score in scores) / 10,
        "scores": scores,
        "misclassified": (
            Misclassified(index=7, true=8, predicted=1, probability=0.97),
            Misclassified(index=4, true=4, predicted=9, probability=0.71),
            Misclassified(index=99, true=8, predicted=1, probability=0.55),
        ),
        "contributions": Contributions(
            examples=250,
            accuracy=0.988,
            branches=(
                BranchContribution(branch="stage1.branch1", accuracy_without=0.4),
                BranchContribution(branch="stage1.branch2", accuracy_without=0.988),
            ),
        ),
    }
    return EvaluationDetails(**{**values, **changes})


def stored(details: EvaluationDetails) -> bytes:
    """Return the file that holds an evaluation."""
    return details.model_dump_json().encode()
