"""What each branch adds: accuracy on the test part with and without it."""

from dataclasses import dataclass
from typing import Any

import torch

from workers.export.trained import Trained


@dataclass(frozen=True, slots=True)
class Contribution:
    """A branch and what its absence costs."""

    # "stage1.branch2"
    branch: str
    accuracy_without: float


def contributions(trained: Trained) -> list[Contribution]:
    """Silence each branch that has company in turn: its map becomes its own mean over the batch.

    A mean keeps what follows within the range that it was trained for, so that the loss is that of what the
    branch tells, not of a strange input (mean ablation).
    """
    return [Contribution(name, _accuracy_without(trained, node)) for name, node in _ends(trained)]


def _ends(trained: Trained) -> list[tuple[str, str]]:
    """Return each branch that has company, with the name of its last node."""
    nodes = trained.network.graph.nodes
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        parts = node.name.split(".")
        if len(parts) > 2 and parts[1].startswith("branch"):
            last[".".join(parts[:2])] = index
    company = {name.split(".")[0] for name in last if name.endswith("branch2")}
    return [(name, nodes[index].name) for name, index in last.items() if name.split(".")[0] in company]


@torch.no_grad()
def _accuracy_without(trained: Trained, node: str) -> float:
    def silenced(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        axes = (0, *range(2, output.dim()))
        return output.mean(axes, keepdim=True).expand_as(output)

    handle = trained.network.get_submodule(node).register_forward_hook(silenced)
    try:
        correct = 0
        for inputs, labels in trained.batches(trained.test):
            correct += int((trained.network(inputs).argmax(1) == labels).sum())
        return correct / len(trained.test)
    finally:
        handle.remove()
