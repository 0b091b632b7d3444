"""All steps of an epoch: by batches that the host prepares, or wholly on an accelerator."""

from collections.abc import Callable, Sequence
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

# Told that another step is about to be taken; what it raises ends the epoch.
Check = Callable[[], None]


class Steps(Protocol):
    """Takes the steps of one candidate, an epoch at a time."""

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """What order and augmentation are drawn from, by name."""

    def epoch(self, rates: Sequence[float], check: Check) -> Tensor:
        """Take all steps of an epoch and return the sum of their losses, without waiting for it.

        Args:
            rates: The learning rate of each step.
            check: Called before steps.
        """

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

    def epoch(self, rates: Sequence[float], check: Check) -> Tensor:
        recipe = self._recipe
        total = torch.zeros(())
        batches = epoch_batches(
            self._data, self._batch_size, recipe.augmentation, self._generator, recipe.normalisation
        )
        for rate, (batch, labels) in zip(rates, batches, strict=True):
            check()
            set_learning_rate(self._optimizer, rate)
            # Summed as a tensor: reading the number here would wait for every step.
            total += self._step(batch, labels)
        return total

    def close(self) -> None:
        pass


class DeviceSteps:
    """Gathers, augments and trains on the device of the data; on a GPU a step is one captured graph.

    The device is told once an epoch which examples each of its batches holds and how fast it learns, and
    counts its steps itself: a step needs nothing of the host but its launch.

    Args:
        step: Forward, loss, backward, update.
        optimizer: Its learning rate is set by each step.
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
        steps = len(data.train) // size
        self._members = torch.zeros((steps, size), dtype=torch.int64, device=data.device)
        self._rates = torch.zeros(steps, device=data.device)
        self._number = torch.zeros(1, dtype=torch.int64, device=data.device)
        self._total = torch.zeros((), device=data.device)
        generators = [self._generator, draws]
        # A second forward pass puts draws back, which a graph cannot hold.
        device = torch.device("cpu") if recipe.checkpointing else data.device
        self._advance = CapturedStep(self._whole, generators, device)

    @property
    def generators(self) -> dict[str, torch.Generator]:
        return {"order": self._order, "augmentation": self._generator}

    def epoch(self, rates: Sequence[float], check: Check) -> Tensor:
        order = torch.randperm(len(self._data.train), generator=self._order)
        self._members.copy_(order[: self._members.numel()].view_as(self._members))
        self._rates.copy_(torch.tensor(rates))
        self._number.zero_()
        self._total.zero_()
        for _ in rates:
            check()
            self._advance()
        return self._total

    def close(self) -> None:
        self._advance.close()
        # Gradients lie in the graph's own memory.
        self._optimizer.zero_grad(set_to_none=True)

    def _whole(self) -> None:
        members = self._members.index_select(0, self._number).view(-1)
        set_learning_rate(self._optimizer, self._rates.index_select(0, self._number).view(()))
        self._number += 1
        self._total += self._step(self._batch(members), self._data.train.labels.index_select(0, members))

    def _batch(self, members: Tensor) -> Tensor:
        augmentation, generator = self._recipe.augmentation, self._generator
        examples = gathered(self._data.train.examples, members)
        if self._recipe.normalisation == "example":
            batch = normalised(examples, self._data, "example")
            batch = device_augmentation.moved(batch, augmentation, generator)
        else:
            examples = device_augmentation.moved(examples, augmentation, generator, self._fill)
            batch = normalised(examples, self._data)
        return device_augmentation.coloured(batch, augmentation, generator)
