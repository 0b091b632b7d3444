"""One candidate from description to figures: limits, latency, training, files. Knows no database."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas_service.constraints import enforced, violations
from nas_service.evaluation import KIND
from nas_service.ledger.proposals import broken_limits
from nas_service.ledger.protocol import NotAdmitted
from nas_service.measurements import Measurement
from nas_service.metrics import METRICS, QUALITIES
from nas_service.redaction import redacted
from nas_service.studies import Recipe, StudySpec
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture, analyse
from search_spaces.modules import build
from workers.checkpoint import architecture_file, weights_file
from workers.company import Company
from workers.data.arrays import TrainingData
from workers.data.split import SplitError
from workers.details import evaluation_file
from workers.interruption import Interrupted
from workers.memory import usable_memory
from workers.second_try import WHOLE, Form, OutOfMemory, is_out_of_memory, within_memory
from workers.state_file import Identity
from workers.training.metrics import quality_metrics
from workers.training.state import Continuity, Uninterrupted
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
    # File contents by kind: "weights", "architecture" and "evaluation".
    files: dict[str, bytes] = field(default_factory=dict)
    # Every other candidate of the study would fail for the same reason.
    ends_study: bool = False


def evaluate(
    architecture: dict[str, Any],
    spec: StudySpec,
    load_data: Callable[[], TrainingData],
    *,
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
    latency: Callable[[Architecture], Measurement],
    company: Company | None = None,
    continuity: Callable[[Identity], Continuity] = lambda _: Uninterrupted(),
) -> Evaluation:
    """Evaluate a candidate; whatever goes wrong becomes a failed evaluation with its reason.

    Only `NotAdmitted` is raised: the service no longer lets this worker in.

    It trains on the device where its data lie.

    Args:
        architecture: The description.
        spec: Limits, device, recipe.
        load_data: Called once, after all limits held.
        seed: Of weights, batches and augmentation.
        on_epoch: Told each epoch's figures and the latency; answers whether to go on.
        latency: Finds the latency on the spec's device, where that is needed; may raise `Interrupted`.
        company: Who else trains in this process; nobody without it.
        continuity: Given what is trained, where an earlier attempt at it came to; may raise `Interrupted`.
    """
    evaluation = Evaluation("failed")
    try:
        network = Architecture.from_dict(architecture)
        if _is_worth_training(evaluation, network, spec, latency):
            data, tell = load_data(), _with_latency(evaluation, on_epoch)
            attempt = partial(_train, evaluation, network, spec, data, seed, tell, continuity)
            within_memory(attempt, company or Company(), data.device)
    except Interrupted as interruption:
        evaluation.state = interruption.ending
    except NotAdmitted:
        # Nothing is wrong with the candidate: it waits for a worker with a token.
        raise
    except Diverged as error:
        _count_divergence(evaluation, spec, error)
    except SplitError as error:
        evaluation.state, evaluation.reason = "failed", f"the data cannot be split: {error}"
        evaluation.ends_study = True
    except OutOfMemory as error:
        evaluation.state, evaluation.reason = "failed", str(error)
    except Exception as error:
        evaluation.state, evaluation.reason = "failed", _reason(error)
        evaluation.error = redacted(traceback.format_exc(limit=20))
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


def _with_latency(
    evaluation: Evaluation, on_epoch: Callable[[EpochReport], Instruction]
) -> Callable[[EpochReport], Instruction]:
    """Let the latency travel with an attempt's first epoch only: early stopping weighs it from then on."""
    known = {name: evaluation.metrics[name] for name in ("latency_ms",) if name in evaluation.metrics}

    def tell(report: EpochReport) -> Instruction:
        is_first = report.epoch == 1 or report.resumed_from is not None
        news = {"metrics": known, "latency": evaluation.latency}
        return on_epoch(report.model_copy(update=news) if is_first else report)

    return tell


def _train(
    evaluation: Evaluation,
    architecture: Architecture,
    spec: StudySpec,
    data: TrainingData,
    seed: int,
    on_epoch: Callable[[EpochReport], Instruction],
    continuity: Callable[[Identity], Continuity],
    form: Form,
) -> None:
    recipe, epochs = form.of(spec.training.recipe), spec.training.epochs
    network = build(architecture, seed=seed, initialisation=recipe.initialisation).to(data.device)
    same = {"epochs": epochs, "seed": seed, "pieces": form.pieces}
    identity = Identity.of(architecture.hash, recipe, split=data.split_sha256, **same)
    result = train(network, data, recipe, on_epoch=on_epoch, continuity=continuity(identity), **same)
    if result.ending in ("complete", "pruned"):
        answers = _answers(network, data, recipe, result.validation_batch)
        _score(evaluation, answers, spec)
    if result.ending == "complete":
        evaluation.files = {
            "weights": weights_file(network, architecture),
            "architecture": architecture_file(architecture),
        }
        sizes = {"batch": result.validation_batch, "trained_examples": result.trained_examples}
        details = evaluation_file(network, data, recipe, answers, **sizes)
        evaluation.files |= {KIND: details} if details else {}
    _record(evaluation, result)
    if result.ending == "complete" and form != WHOLE:
        evaluation.reason = f"trained {form}, after it had run out of memory"


def _keeps_limits(evaluation: Evaluation, spec: StudySpec) -> bool:
    evaluation.violations = violations(evaluation.metrics, enforced(spec.constraints), evaluation.latency)
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


def _answers(network: nn.Module, data: TrainingData, recipe: Recipe, batch: int) -> tuple[Tensor, Tensor]:
    """Return logits (N, classes) and labels (N,) of the validation part, on the host."""
    logits, labels = zip(*predictions(network, data, recipe, batch=batch), strict=True)
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def _score(evaluation: Evaluation, answers: tuple[Tensor, Tensor], spec: StudySpec) -> None:
    evaluation.metrics |= quality_metrics(*answers)
    # Limits on qualities can be judged only now: a trial that breaks one is complete, but not feasible.
    evaluation.violations = violations(evaluation.metrics, spec.constraints, evaluation.latency)


def _count_divergence(evaluation: Evaluation, spec: StudySpec, error: Diverged) -> None:
    """Fail the candidate, or give it the worst of each quality, as the spec says."""
    if spec.training.divergence == "fail":
        evaluation.state, evaluation.reason = "failed", str(error)
        return
    evaluation.state = "pruned"
    evaluation.reason = f"{error}; counted with the worst value of each quality"
    evaluation.metrics |= {name: METRICS[name].worst for name in QUALITIES}
    evaluation.violations = violations(evaluation.metrics, spec.constraints, evaluation.latency)


def _reason(error: Exception) -> str:
    if is_out_of_memory(error):
        return f"out of memory: {usable_memory()}"
    text = str(error).strip().splitlines()
    first = text[0][:300] if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
