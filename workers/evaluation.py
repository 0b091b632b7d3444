"""One candidate from description to figures: limits, latency, training, files. Knows no database."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import torch
from torch import nn

from nas_service.constraints import violations
from nas_service.ledger.proposals import broken_limits
from nas_service.measurements import Measurement
from nas_service.studies import StudySpec
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture, analyse
from search_spaces.modules import build
from workers.checkpoint import architecture_file, weights_file
from workers.data.arrays import TrainingData
from workers.data.split import SplitError
from workers.interruption import Interrupted
from workers.training.metrics import quality_metrics
from workers.training.trainer import Diverged, TrainingResult, predictions, train

Ending = Literal["complete", "pruned", "infeasible", "failed", "stopped", "lost"]


@dataclass(slots=True)
class Evaluation:
    """What is known of a candidate at the end; "stopped" and "lost" end an attempt without a result."""

    state: Ending
    reason: str | None = None
    error: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    # A `Measurement` as plain data.
    latency: dict[str, Any] | None = None
    # File contents by kind: "weights" and "architecture".
    files: dict[str, bytes] = field(default_factory=dict)


def evaluate(
    architecture: dict[str, Any],
    spec: StudySpec,
    load_data: Callable[[], TrainingData],
    *,
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
    latency: Callable[[Architecture], Measurement],
) -> Evaluation:
    """Evaluate a candidate; whatever goes wrong becomes a failed evaluation with its reason.

    Args:
        architecture: The description.
        spec: Limits, device, recipe.
        load_data: Called once, after all limits held.
        seed: Of weights, batches and augmentation.
        on_epoch: Told each epoch's figures and the latency; answers whether to go on.
        latency: Finds the latency on the spec's device, where that is needed; may raise `Interrupted`.
    """
    evaluation = Evaluation("failed")
    try:
        network = Architecture.from_dict(architecture)
        if _is_worth_training(evaluation, network, spec, latency):
            _train(evaluation, network, spec, load_data, seed, on_epoch)
    except Interrupted as interruption:
        evaluation.state = interruption.ending
    except Diverged as error:
        evaluation.state, evaluation.reason = "failed", str(error)
    except SplitError as error:
        evaluation.state, evaluation.reason = "failed", f"the data cannot be split: {error}"
    except MemoryError:
        evaluation.state, evaluation.reason = "failed", "out of memory"
    except Exception as error:
        evaluation.state, evaluation.reason = "failed", _reason(error)
        evaluation.error = traceback.format_exc(limit=20)
    return evaluation


def _is_worth_training(
    evaluation: Evaluation,
    architecture: Architecture,
    spec: StudySpec,
    latency: Callable[[Architecture], Measurement],
) -> bool:
    """Find costs and latency, and judge them by the limits."""
    costs = analyse(architecture).metrics()
    evaluation.metrics |= {name: float(value) for name, value in costs.items()}
    if not _keeps_limits(evaluation, spec):
        return False
    if not spec.needs_latency:
        return True
    started = perf_counter()
    measurement = latency(architecture)
    evaluation.timings["latency_s"] = perf_counter() - started
    evaluation.latency = measurement.model_dump(mode="json")
    evaluation.metrics["latency_ms"] = measurement.median_ms
    return _keeps_limits(evaluation, spec)


def _train(
    evaluation: Evaluation,
    architecture: Architecture,
    spec: StudySpec,
    load_data: Callable[[], TrainingData],
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
) -> None:
    known = {name: evaluation.metrics[name] for name in ("latency_ms",) if name in evaluation.metrics}
    data = load_data()
    recipe = spec.training.recipe
    network = build(architecture, seed=seed, initialisation=recipe.initialisation)

    def tell(report: EpochReport) -> Instruction:
        # The latency travels with the first epoch only: early stopping weighs it from then on.
        return on_epoch(report.model_copy(update={"metrics": known}) if report.epoch == 1 else report)

    result = train(network, data, recipe, epochs=spec.training.epochs, seed=seed, on_epoch=tell)
    _record(evaluation, result)
    if result.ending in ("complete", "pruned"):
        _score(evaluation, network, data, spec)
    if result.ending == "complete":
        evaluation.files = {
            "weights": weights_file(network, architecture),
            "architecture": architecture_file(architecture),
        }


def _keeps_limits(evaluation: Evaluation, spec: StudySpec) -> bool:
    evaluation.violations = violations(evaluation.metrics, spec.constraints, evaluation.latency)
    if all(excess <= 0 for excess in evaluation.violations.values()):
        return True
    evaluation.state, evaluation.reason = "infeasible", broken_limits(evaluation.violations)
    return False


def _record(evaluation: Evaluation, result: TrainingResult) -> None:
    evaluation.state = result.ending
    evaluation.timings |= {
        "training_s": result.seconds,
        "trained_examples": float(result.trained_examples),
        "trained_epochs": float(result.epochs),
    }
    if result.ending == "pruned":
        evaluation.reason = f"stopped early after epoch {result.epochs}"


def _score(evaluation: Evaluation, network: nn.Module, data: TrainingData, spec: StudySpec) -> None:
    logits, labels = zip(*predictions(network, data, spec.training.recipe), strict=True)
    evaluation.metrics |= quality_metrics(torch.cat(logits), torch.cat(labels))
    # Limits on qualities can be judged only now: a trial that breaks one is complete, but not feasible.
    evaluation.violations = violations(evaluation.metrics, spec.constraints, evaluation.latency)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = text[0][:300] if text else ""
    if "not enough memory" in first or "out of memory" in first:
        return "out of memory"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
