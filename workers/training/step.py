"""One step of training: forward, loss, backward, update."""

import torch
from torch import Tensor, nn

from nas_service.studies import Recipe
from workers.training.checkpointing import Checkpointed
from workers.training.losses import training_loss
from workers.training.precision import autocast


class TrainingStep:
    """Takes steps with one network and its optimiser.

    Args:
        network: (B, C, *S) floats to (B, classes) logits.
        optimizer: Of the network's parameters.
        recipe: Loss, precision, checkpointing.
        axes: Spatial axes of an example.
        pieces: Into so many pieces a batch is cut, whose gradients are averaged: less memory, and each piece
            has batch statistics of its own.
        draws: That dropout draws from, where it is not the global generator.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        axes: int,
        pieces: int = 1,
        draws: torch.Generator | None = None,
    ) -> None:
        self._forward = Checkpointed(network, draws) if recipe.checkpointing else network
        self._optimizer, self._recipe, self._axes, self._pieces = optimizer, recipe, axes, pieces

    def __call__(self, batch: Tensor, labels: Tensor) -> Tensor:
        """Update the network by one batch and return its mean loss, without waiting for it to be computed."""
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=batch.device)
        for examples, truth in zip(batch.chunk(self._pieces), labels.chunk(self._pieces), strict=True):
            with autocast(self._recipe, self._axes, batch.device.type):
                logits = self._forward(examples)
            loss = training_loss(logits.float(), truth, self._recipe)
            if self._pieces > 1:
                loss = loss * (len(truth) / len(labels))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self._optimizer.step()
        return total
