"""Silencing one branch of a stage at a time, which shows what it tells the rest of the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from search_spaces.modules.network import Network


def branch_ends(network: Network) -> dict[str, str]:
    """Return the last node of each branch that has company, by the branch: "stage1.branch2"."""
    nodes = network.graph.nodes
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        parts = node.name.split(".")
        if len(parts) > 2 and parts[1].startswith("branch"):
            last[".".join(parts[:2])] = index
    company = {name.split(".")[0] for name in last if name.endswith("branch2")}
    return {name: nodes[index].name for name, index in last.items() if name.split(".")[0] in company}


@contextmanager
def silenced(network: Network, node: str) -> Iterator[None]:
    """Let a node's map be its own mean over batch and positions.

    A mean keeps what follows within the range that it was trained for, so that the loss is that of what the
    branch tells, not of a strange input (mean ablation).
    """

    def mean_of(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        axes = (0, *range(2, output.dim()))
        return output.mean(axes, keepdim=True).expand_as(output)

    handle = network.get_submodule(node).register_forward_hook(mean_of)
    try:
        with torch.no_grad():
            yield
    finally:
        handle.remove()
