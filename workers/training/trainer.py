"""Training one candidate."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor, nn

from nas_service.studies import Recipe
from nas_service.trials import EpochReport, Instruction
from workers.data.arrays import TrainingData
from workers.devices import own_stream
from workers.training.batches import validation_batches
from workers.training.capturing import launches
from workers.training.convolutions import dense_convolutions, fast_convolutions
from workers.training.determinism import deterministic_algorithms
from workers.training.fused import fused_layers
from workers.training.losses import chance_loss, validation_loss
from workers.training.optimisation import learning_rate, make_optimizer
from workers.training.precision import MEMORY_FORMATS, uses_bf16
from workers.training.regularisation import classifier_dropout, dropout_drawn_from
from workers.training.state import Continuity, Overdue, Parts, TrainingState, Uninterrupted
from workers.training.step import TrainingStep
from workers.training.steps import DeviceSteps, HostSteps, Steps

VALIDATION_BATCH = 512
# A data set that fills fewer than so many batches an epoch is trained in smaller ones.
MIN_STEPS = 8
# Training has failed when its loss is so many times that of a guess.
EXPLOSION = 1e4
PLAIN = Recipe()
# How training ends before its last epoch.
Cut = Literal["pruned", "stopped", "lost"]
CUTS: dict[Instruction, Cut] = {"prune": "pruned", "stop": "stopped", "lost": "lost"}
UNINTERRUPTED = Uninterrupted()


class Diverged(ArithmeticError):
    """The loss is no longer a finite number, or far beyond that of a guess."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How training ended; figures are those of the last epoch, which no choice among epochs has flattered.

    Epochs, examples and seconds are those of all attempts whose work is in the network.
    """

    ending: Literal["complete"] | Cut
    accuracy: float
    epochs: int
    trained_examples: int
    seconds: float
    # How many examples are validated at once: no more than are trained at once, where memory is short.
    validation_batch: int = VALIDATION_BATCH


def train(
    network: nn.Module,
    data: TrainingData,
    recipe: Recipe,
    *,
    epochs: int,
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
    pieces: int = 1,
    continuity: Continuity = UNINTERRUPTED,
) -> TrainingResult:
    """Train a network in place, on the device where its parameters are.

    Nothing is drawn from the global generator, so that several threads may each train a network of their own.

    Args:
        network: (B, C, *S) floats to (B, classes) logits.
        data: Training and validation part; copied if they are not on the network's device.
        recipe: Optimiser, schedule, loss, augmentation, precision.
        epochs: How many, unless `on_epoch` ends it earlier.
        seed: Of batches' order, augmentation and dropout.
        on_epoch: Told each epoch's figures; its answer says whether to go on. Behind the last epoch only
            "lost" counts: what is finished is kept.
        pieces: Into so many pieces each batch is cut, where memory is short.
        continuity: Where an earlier attempt came to, and who is told how far this one is.

    Raises:
        Diverged: The loss became NaN, infinite or huge; the message names the epoch.
    """
    device = next(network.parameters()).device
    draws = torch.Generator(device).manual_seed(seed)
    with (
        own_stream(device),
        deterministic_algorithms(recipe.deterministic),
        dropout_drawn_from(draws, network),
        classifier_dropout(network, recipe.dropout, draws),
    ):
        run = _Run(network, data.to(device), recipe, epochs, seed, pieces, draws, continuity)
        with run.in_fast_forms(), closing(run.advance):
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
        draws: torch.Generator,
        continuity: Continuity,
    ) -> None:
        axes = data.train.examples.dim() - 2
        memory_format = MEMORY_FORMATS.get(axes)
        self.network = network.to(memory_format=memory_format) if memory_format else network  # type: ignore[call-overload]
        self.data, self.recipe, self.epochs = data, recipe, epochs
        self.batch_size = max(2, min(recipe.batch_size, len(data.train) // MIN_STEPS))
        self.pieces = min(pieces, self.batch_size // 2)
        self.validation_batch = self.batch_size // self.pieces if self.pieces > 1 else VALIDATION_BATCH
        self.steps = max(1, len(data.train) // self.batch_size)
        self.axes = axes
        optimizer = make_optimizer(network, recipe)
        step = TrainingStep(network, optimizer, recipe, axes=axes, pieces=self.pieces, draws=draws)
        sizes = {"batch_size": self.batch_size, "seed": seed}
        self.advance: Steps = (
            HostSteps(step, optimizer, data, recipe, **sizes)
            if data.device.type == "cpu"
            else DeviceSteps(step, optimizer, data, recipe, draws=draws, **sizes)
        )
        self.continuity = continuity
        self.parts = Parts(self.network, optimizer, {"dropout": draws, **self.advance.generators}, seed)
        # Before the first step: what a graph captures are the tensors that are there by then.
        self.start = self.last = self.parts.restore_first(continuity.earlier())

    def in_fast_forms(self) -> ExitStack:
        """Train layers in the device's fastest forms, unless equal runs must have equal bits."""
        forms = ExitStack()
        if self.recipe.deterministic:
            return forms
        if self.data.device.type == "cpu":
            batch, is_bf16 = self.batch_size // self.pieces, uses_bf16(self.recipe, self.axes)
            forms.enter_context(fast_convolutions(self.network, batch, is_bf16=is_bf16))
            # In fp32, and with several threads, torch's own passes are as fast (docs/decisions/0012).
            is_fused = is_bf16 and torch.get_num_threads() == 1
        else:
            forms.enter_context(dense_convolutions(self.network, is_recomputed=self.recipe.checkpointing))
            is_fused = self.data.device.type == "cuda"
        if is_fused and not self.recipe.checkpointing:
            forms.enter_context(fused_layers(self.network, self.data.device))
        return forms

    def until_told(self, on_epoch: Callable[[EpochReport], Instruction]) -> TrainingResult:
        self.began = perf_counter() - self.last.seconds
        ending = None
        while ending is None and self.last.epoch < self.epochs:
            ending = self.one_more(on_epoch)
        last = self.last
        seconds = perf_counter() - self.began
        return TrainingResult(
            ending or "complete",
            last.accuracy,
            last.epoch,
            last.trained_examples,
            seconds,
            self.validation_batch,
        )

    def one_more(self, on_epoch: Callable[[EpochReport], Instruction]) -> Cut | None:
        """Train an epoch and say how training ends behind it; None if it goes on, or is complete."""
        try:
            report = self.train_epoch(self.last.epoch + 1)
        except Overdue:
            self.continuity.offer(self.last, is_last=True)
            return "stopped"
        self.last = TrainingState(
            epoch=report.epoch,
            accuracy=report.accuracy or 0.0,
            trained_examples=self.last.trained_examples + self.steps * self.batch_size,
            seconds=perf_counter() - self.began,
            tensors=self.parts.tensors(),
        )
        instruction = on_epoch(report)
        if instruction == "lost":
            return "lost"
        if report.epoch == self.epochs:
            return None
        if instruction != "prune":
            self.continuity.offer(self.last, is_last=instruction == "stop")
        return CUTS.get(instruction)

    def train_epoch(self, epoch: int) -> EpochReport:
        started = perf_counter()
        self.network.train()
        train_loss = float(self.advance.epoch(self._rates(epoch), self._check)) / self.steps
        if not train_loss <= EXPLOSION * chance_loss(self.data.classes, self.recipe):
            raise Diverged(f"diverged in epoch {epoch}: the loss is {train_loss:g}")
        held_out_loss, accuracy = validate(self.network, self.data, self.recipe, batch=self.validation_batch)
        return EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=held_out_loss if math.isfinite(held_out_loss) else None,
            accuracy=accuracy,
            seconds=perf_counter() - started,
            resumed_from=self.start.epoch or None if epoch == self.start.epoch + 1 else None,
        )

    def _rates(self, epoch: int) -> list[float]:
        """Return the learning rate of each of an epoch's steps."""
        taken, whole = (epoch - 1) * self.steps, self.epochs * self.steps
        return [learning_rate(self.recipe, (taken + number) / whole) for number in range(self.steps)]

    def _check(self) -> None:
        if self.continuity.is_overdue():
            raise Overdue


def validate(
    network: nn.Module, data: TrainingData, recipe: Recipe = PLAIN, *, batch: int = VALIDATION_BATCH
) -> tuple[float, float]:
    """Return (mean loss without label smoothing, accuracy) on the validation part, always in fp32."""
    loss = torch.zeros((), device=data.device)
    correct = torch.zeros((), dtype=torch.int64, device=data.device)
    with launches(data.device):
        for logits, labels in predictions(network, data, recipe, batch=batch):
            loss += validation_loss(logits, labels, recipe) * len(labels)
            correct += (logits.argmax(1) == labels).sum()
    count = len(data.validation)
    return float(loss) / count, int(correct) / count


@torch.no_grad()
def predictions(
    network: nn.Module, data: TrainingData, recipe: Recipe = PLAIN, *, batch: int = VALIDATION_BATCH
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (B, classes) logits and (B,) labels of the validation part in order, so many at once."""
    network.eval()
    for examples, labels in validation_batches(data, batch, recipe.normalisation):
        with launches(data.device):
            logits = network(examples)
        yield logits, labels
