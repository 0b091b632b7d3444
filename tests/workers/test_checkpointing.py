"""Gradient checkpointing changes memory and nothing else."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas_service.studies import Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData
from workers.training.checkpointing import Checkpointed
from workers.training.trainer import train

STAGE = {
    "branches": [
        [{"op": "conv", "channels": 8, "kernel": 3}],
        [{"op": "conv", "channels": 8, "kernel": 5}],
    ],
    "channels": 16,
    "downsample": "max",
}


@pytest.fixture
def architecture() -> Architecture:
    """Branches, a shortcut, batch norms and dropout: everything that a second pass could disturb."""
    stages = [STAGE, {**STAGE, "connection": "residual"}]
    head = {"dense": [16], "dropout": 0.5}
    return Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": stages, "head": head})


def step(network: nn.Module, forward: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits, and all gradients and buffers, of one forward and backward pass."""
    torch.manual_seed(0)
    network.train()
    logits = forward(torch.rand(16, 1, 8, 8))
    logits.square().mean().backward()
    gradients = {f"{name}.grad": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return logits.detach(), gradients | dict(network.named_buffers())


def test_outputs_gradients_and_statistics_are_equal(architecture: Architecture) -> None:
    plain, second = build(architecture, seed=1), build(architecture, seed=1)
    logits, state = step(plain, plain)
    again, same = step(second, Checkpointed(second))
    assert torch.equal(logits, again)
    assert state.keys() == same.keys()
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert all(norm.momentum == 0.1 for norm in second.modules() if isinstance(norm, nn.BatchNorm2d))


def test_training_ends_with_equal_weights(architecture: Architecture, digits_data: TrainingData) -> None:
    states = []
    for is_on in (False, True):
        network = build(architecture, seed=3)
        recipe = Recipe(deterministic=True, dropout=0.1, checkpointing=is_on)
        train(network, digits_data, recipe, epochs=1, seed=3, on_epoch=lambda report: "continue")
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def kept_bytes(forward: Any) -> int:
    """Return how much a forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = forward(torch.rand(16, 1, 8, 8))
    assert logits.requires_grad
    return sum(kept.values())


def test_maps_inside_stages_are_not_kept(architecture: Architecture) -> None:
    network = build(architecture, seed=1)
    assert 0 < kept_bytes(Checkpointed(network)) < kept_bytes(network) / 4


def test_a_network_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="architecture"):
        Checkpointed(nn.Linear(2, 2))
