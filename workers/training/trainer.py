"""Training one candidate."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor, nn

from nas_service.studies import Recipe
from nas_service.trials import EpochReport, Instruction
from workers.data.arrays import TrainingData
from workers.training.batches import epoch_batches, validation_batches
from workers.training.convolutions import fast_convolutions
from workers.training.losses import validation_loss
from workers.training.optimisation import learning_rate, make_optimizer, set_learning_rate
from workers.training.precision import MEMORY_FORMATS, uses_bf16
from workers.training.regularisation import classifier_dropout
from workers.training.step import TrainingStep

VALIDATION_BATCH = 512
# A data set that fills fewer than so many batches an epoch is trained in smaller ones.
MIN_STEPS = 8
PLAIN = Recipe()


class Diverged(ArithmeticError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How training ended; figures are those of the last epoch, which no choice among epochs has flattered."""

    ending: Literal["complete", "pruned", "stopped", "lost"]
    accuracy: float
    epochs: int
    trained_examples: int
    seconds: float


def train(
    network: nn.Module,
    data: TrainingData,
    recipe: Recipe,
    *,
    epochs: int,
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
    pieces: int = 1,
) -> TrainingResult:
    """Train a network in place.

    Args:
        network: (B, C, *S) floats to (B, classes) logits.
        data: Training and validation part.
        recipe: Optimiser, schedule, loss, augmentation, precision.
        epochs: How many, unless `on_epoch` ends it earlier.
        seed: Of batches' order, augmentation and dropout.
        on_epoch: Told each epoch's figures; its answer says whether to go on.
        pieces: Into so many pieces each batch is cut, where memory is short.

    Raises:
        Diverged: The loss became NaN or infinite; the message names the epoch.
    """
    with _seeded(seed, recipe.deterministic), classifier_dropout(network, recipe.dropout):
        run = _Run(network, data, recipe, epochs, seed, pieces)
        with run.in_fast_forms():
            return run.until_told(on_epoch)


class _Run:
    def __init__(
        self,
        network: nn.Module,
        data: TrainingData,
        recipe: Recipe,
        epochs: int,
        seed: int,
        pieces: int,
    ) -> None:
        axes = data.train.examples.dim() - 2
        memory_format = MEMORY_FORMATS.get(axes)
        self.network = network.to(memory_format=memory_format) if memory_format else network  # type: ignore[call-overload]
        self.data, self.recipe, self.epochs = data, recipe, epochs
        self.optimizer = make_optimizer(network, recipe)
        self.batch_size = max(2, min(recipe.batch_size, len(data.train) // MIN_STEPS))
        self.pieces = min(pieces, self.batch_size // 2)
        self.step = TrainingStep(network, self.optimizer, recipe, axes=axes, pieces=self.pieces)
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = max(1, len(data.train) // self.batch_size)
        self.axes = axes

    def in_fast_forms(self) -> AbstractContextManager[None]:
        """Train grouped convolutions in their fastest forms, unless equal runs must have equal bits."""
        if self.recipe.deterministic:
            return nullcontext()
        batch = self.batch_size // self.pieces
        return fast_convolutions(self.network, batch, is_bf16=uses_bf16(self.recipe, self.axes))

    def until_told(self, on_epoch: Callable[[EpochReport], Instruction]) -> TrainingResult:
        started = perf_counter()
        endings: dict[Instruction, Literal["pruned", "stopped", "lost"]] = {
            "prune": "pruned",
            "stop": "stopped",
            "lost": "lost",
        }
        accuracy, trained, epoch = 0.0, 0, 0
        ending: Literal["complete", "pruned", "stopped", "lost"] = "complete"
        for epoch in range(1, self.epochs + 1):
            report = self.train_epoch(epoch)
            accuracy = report.accuracy or 0.0
            trained += self.steps * self.batch_size
            instruction = on_epoch(report)
            if instruction != "continue" and (epoch < self.epochs or instruction != "prune"):
                ending = endings[instruction]
                break
        return TrainingResult(ending, accuracy, epoch, trained, perf_counter() - started)

    def train_epoch(self, epoch: int) -> EpochReport:
        started = perf_counter()
        self.network.train()
        total = torch.zeros(())
        for number, (batch, labels) in enumerate(self._batches()):
            progress = ((epoch - 1) * self.steps + number) / (self.epochs * self.steps)
            set_learning_rate(self.optimizer, learning_rate(self.recipe, progress))
            # Summed as a tensor: reading the number here would wait for every step.
            total += self.step(batch, labels)
        train_loss = float(total) / self.steps
        if not math.isfinite(train_loss):
            raise Diverged(f"training diverged in epoch {epoch}: the loss is {train_loss}")
        held_out_loss, accuracy = validate(self.network, self.data, self.recipe)
        return EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=held_out_loss if math.isfinite(held_out_loss) else None,
            accuracy=accuracy,
            seconds=perf_counter() - started,
        )

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe = self.recipe
        return epoch_batches(
            self.data, self.batch_size, recipe.augmentation, self.generator, recipe.normalisation
        )


def validate(network: nn.Module, data: TrainingData, recipe: Recipe = PLAIN) -> tuple[float, float]:
    """Return (mean loss without label smoothing, accuracy) on the validation part, always in fp32."""
    loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for logits, labels in predictions(network, data, recipe):
        loss += validation_loss(logits, labels, recipe) * len(labels)
        correct += (logits.argmax(1) == labels).sum()
    count = len(data.validation)
    return float(loss) / count, int(correct) / count


@torch.no_grad()
def predictions(
    network: nn.Module, data: TrainingData, recipe: Recipe = PLAIN
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (B, classes) logits and (B,) labels of the validation part in order."""
    network.eval()
    for batch, labels in validation_batches(data, VALIDATION_BATCH, recipe.normalisation):
        yield network(batch), labels


@contextmanager
def _seeded(seed: int, deterministic: bool) -> Iterator[None]:
    """Seed what draws from the global generator (dropout), and put everything back afterwards."""
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(deterministic or was_deterministic)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_deterministic)
