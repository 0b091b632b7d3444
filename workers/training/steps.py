"""All steps of an epoch: by batches that the host prepares, or wholly on an accelerator."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from nas_service.studies import Recipe
from workers.data.arrays import TrainingData
from workers.training import device_augmentation
from workers.training.batches import epoch_batches, gathered, neutral, normalised
from workers.training.captured_step import CapturedStep
from workers.training.optimisation import set_learning_rate
from workers.training.step import TrainingStep

# The learning rate of a step of the epoch, numbered from 0.
Rates = Callable[[int], float]


class Steps(Protocol):
    """Takes the steps of one candidate, an epoch at a time."""

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """What order and augmentation are drawn from, by name."""

    def epoch(self, rates: Rates) -> Tensor:
        """Take all steps of an epoch and return the sum of their losses, without waiting for it."""

    def close(self) -> None:
        """Give back what only training needs."""


class HostSteps:
    """Prepares one batch after another; crops and the like are drawn for groups of examples."""

    def __init__(
        self,
        step: TrainingStep,
        optimizer: torch.optim.Optimizer,
        data: TrainingData,
        recipe: Recipe,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._step, self._optimizer = step, optimizer
        self._data, self._recipe, self._batch_size = data, recipe, batch_size
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        return {"batches": self._generator}

    def epoch(self, rates: Rates) -> Tensor:
        recipe = self._recipe
        total = torch.zeros(())
        batches = epoch_batches(
            self._data, self._batch_size, recipe.augmentation, self._generator, recipe.normalisation
        )
        for number, (batch, labels) in enumerate(batches):
            set_learning_rate(self._optimizer, rates(number))
            # Summed as a tensor: reading the number here would wait for every step.
            total += self._step(batch, labels)
        return total

    def close(self) -> None:
        pass


class DeviceSteps:
    """Gathers, augments and trains on the device of the data; on a GPU a step is one captured graph.

    Of each batch the device is told only which examples it holds.

    Args:
        step: Forward, loss, backward, update.
        optimizer: Its learning rate is set before each step.
        data: On the device.
        recipe: Augmentation and normalisation.
        batch_size: Examples a step.
        seed: Of the order, the same as on the host, and of augmentation.
        draws: What dropout draws from.
    """

    def __init__(
        self,
        step: TrainingStep,
        optimizer: torch.optim.Optimizer,
        data: TrainingData,
        recipe: Recipe,
        *,
        batch_size: int,
        seed: int,
        draws: torch.Generator,
    ) -> None:
        self._step, self._optimizer = step, optimizer
        self._data, self._recipe = data, recipe
        self._order = torch.Generator().manual_seed(seed)
        self._generator = torch.Generator(data.device).manual_seed(seed)
        self._fill = neutral(data)
        size = min(batch_size, len(data.train))
        self._members = torch.zeros(size, dtype=torch.int64, device=data.device)
        self._total = torch.zeros((), device=data.device)
        generators = [self._generator, draws]
        # A second forward pass puts draws back, which a graph cannot hold.
        host = torch.device("cpu")
        self._advance = CapturedStep(self._whole, generators, host if recipe.checkpointing else data.device)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        return {"order": self._order, "augmentation": self._generator}

    def epoch(self, rates: Rates) -> Tensor:
        size = len(self._members)
        order = torch.randperm(len(self._data.train), generator=self._order).to(self._data.device)
        self._total.zero_()
        for number in range(len(order) // size):
            set_learning_rate(self._optimizer, rates(number))
            self._members.copy_(order[number * size : (number + 1) * size])
            self._advance()
        return self._total

    def close(self) -> None:
        self._advance.close()
        # Gradients lie in the graph's own memory.
        self._optimizer.zero_grad(set_to_none=True)

    def _whole(self) -> None:
        self._total += self._step(self._batch(), self._data.train.labels.index_select(0, self._members))

    def _batch(self) -> Tensor:
        augmentation, generator = self._recipe.augmentation, self._generator
        examples = gathered(self._data.train.examples, self._members)
        if self._recipe.normalisation == "example":
            batch = normalised(examples, self._data, "example")
            batch = device_augmentation.moved(batch, augmentation, generator)
        else:
            examples = device_augmentation.moved(examples, augmentation, generator, self._fill)
            batch = normalised(examples, self._data)
        return device_augmentation.coloured(batch, augmentation, generator)
