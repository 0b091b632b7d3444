"""A chosen network, trained for good and measured once on the test part. Knows no database."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nas_service.studies import Recipe
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture
from search_spaces.modules import build
from search_spaces.modules.network import Network
from workers.checkpoint import architecture_file, weights_file
from workers.company import Company
from workers.data.arrays import Part, TrainingData
from workers.second_try import Form, within_memory
from workers.training.metrics import class_figures, confusion_matrix, quality_metrics
from workers.training.trainer import VALIDATION_BATCH, predictions, train


@dataclass(frozen=True, slots=True)
class Final:
    """A network as it was trained in the end."""

    # Every quality on the test part, seen once.
    metrics: dict[str, float]
    # "precision", "recall" and "f1" of each class there.
    per_class: dict[str, list[float]]
    # Of the part that was trained on, a channel each: what the network's inputs are normalised by.
    normalisation: dict[str, list[float]]
    epochs: int
    seconds: float
    weights: bytes
    architecture: bytes

    def result(self) -> dict[str, Any]:
        """Return its figures as plain data."""
        return {
            "metrics": self.metrics,
            "per_class": self.per_class,
            "normalisation": self.normalisation,
            "epochs": self.epochs,
            "seconds": self.seconds,
        }

    def files(self) -> dict[str, bytes]:
        """Return its files by name, as an export names them."""
        return {"weights.safetensors": self.weights, "architecture.json": self.architecture}


@dataclass(frozen=True, slots=True)
class Course:
    """How a network is trained for good."""

    recipe: Recipe
    epochs: int
    seed: int
    # Changes the untrained network before the first step: takes over weights, freezes stages.
    prepare: Callable[[Network], object] = lambda network: None


def train_finally(
    architecture: Architecture,
    data: TrainingData,
    test: Part,
    course: Course,
    *,
    on_epoch: Callable[[EpochReport], Instruction],
    company: Company | None = None,
) -> Final:
    """Train a network from its seed to its last epoch and measure it on the test part.

    Args:
        architecture: The network.
        data: Where it lies is where the network is trained.
        test: On the same device; seen once, behind the last epoch.
        course: Recipe, epochs, seed, and what is done before.
        on_epoch: Told each epoch's figures; whoever wants training to end raises.
        company: Who else trains in this process; nobody without it.

    Raises:
        Diverged: The loss became NaN, infinite or huge.
        OutOfMemory: It does not fit, not even alone and in pieces.
    """
    made: list[Final] = []
    attempt = partial(_train, made, architecture, data, test, course, on_epoch)
    within_memory(attempt, company or Company(), data.device)
    return made[-1]


def _train(
    made: list[Final],
    architecture: Architecture,
    data: TrainingData,
    test: Part,
    course: Course,
    on_epoch: Callable[[EpochReport], Instruction],
    form: Form,
) -> None:
    recipe = form.of(course.recipe)
    network = build(architecture, seed=course.seed, initialisation=recipe.initialisation).to(data.device)
    course.prepare(network)
    result = train(
        network,
        data,
        recipe,
        epochs=course.epochs,
        seed=course.seed,
        on_epoch=on_epoch,
        pieces=form.pieces,
    )
    logits, labels = answers(network, data, test, recipe, batch=result.validation_batch)
    figures = class_figures(confusion_matrix(logits, labels))
    names = ("precision", "recall", "f1")
    made.append(
        Final(
            metrics=quality_metrics(logits, labels),
            per_class={name: _rounded(getattr(figures, name)) for name in names},
            normalisation={"mean": _flat(data.mean), "deviation": _flat(data.deviation)},
            epochs=result.epochs,
            seconds=result.seconds,
            weights=weights_file(network, architecture),
            architecture=architecture_file(architecture),
        )
    )


def answers(
    network: Network, data: TrainingData, part: Part, recipe: Recipe, *, batch: int = VALIDATION_BATCH
) -> tuple[Tensor, Tensor]:
    """Return (N, classes) logits and (N,) labels of a part, normalised as what was trained on."""
    logits, labels = zip(
        *predictions(network, replace(data, validation=part), recipe, batch=batch), strict=True
    )
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def _rounded(figures: Tensor) -> list[float]:
    return [round(float(value), 6) for value in figures]


def _flat(figures: Tensor) -> list[float]:
    return [float(value) for value in figures.flatten()]
