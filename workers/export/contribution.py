"""What each branch adds: accuracy on the test part with and without it."""

from dataclasses import dataclass

from workers.ablation import branch_ends, silenced
from workers.export.trained import Trained


@dataclass(frozen=True, slots=True)
class Contribution:
    """A branch and what its absence costs."""

    # "stage1.branch2"
    branch: str
    accuracy_without: float


def contributions(trained: Trained) -> list[Contribution]:
    """Silence each branch that has company in turn (`workers.ablation`)."""
    ends = branch_ends(trained.network)
    return [Contribution(name, _accuracy_without(trained, node)) for name, node in ends.items()]


def _accuracy_without(trained: Trained, node: str) -> float:
    correct = 0
    with silenced(trained.network, node):
        for inputs, labels in trained.batches(trained.test):
            correct += int((trained.network(inputs).argmax(1) == labels).sum())
    return correct / len(trained.test)
