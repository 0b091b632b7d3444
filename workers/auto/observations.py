"""What a study's trials have shown, as models read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas_service.metrics import METRICS
from search_spaces import Architecture, Cost, RandomTrial, analyse
from search_spaces.random_trial import Scalar
from workers.auto.task import Task

# Under these names a trial carries what Optuna has no place for; see `told`.
ARCHITECTURE, FIGURES, EPOCHS, RUNGS = "architecture", "figures", "epochs", "rungs"


@dataclass(frozen=True, slots=True)
class Observed:
    """One trial."""

    params: Mapping[str, Scalar]
    architecture: Architecture
    cost: Cost
    is_running: bool
    # Trained to the last epoch, within all limits: it may stand on a front.
    is_complete: bool
    # By metric what was seen, each with its epoch; exact costs are left out.
    seen: Mapping[str, tuple[tuple[float, float], ...]]


def told(
    architecture: Mapping[str, Any],
    figures: Mapping[str, float],
    epochs: float | None,
    rungs: Mapping[int, float],
) -> dict[str, Any]:
    """Return what a trial must carry in its user attributes, for `observed` to read.

    Args:
        architecture: Its description.
        figures: Its last figures by metric.
        epochs: How many it was trained for; None for all of them.
        rungs: Its accuracy behind earlier epochs.
    """
    return {ARCHITECTURE: architecture, FIGURES: figures, EPOCHS: epochs, RUNGS: rungs}


def observed(trial: FrozenTrial, task: Task) -> Observed | None:
    """Return what a trial has shown; None for one that is still being drawn, forbidden, or hidden."""
    is_running = trial.state is TrialState.RUNNING
    extra = trial.user_attrs
    if ARCHITECTURE not in extra:
        return None
    architecture = _architecture(trial, task)
    reached = float(extra[EPOCHS] or task.epochs)
    is_feasible = all(excess <= 0 for excess in trial.constraints.values())
    has_figures = trial.state is TrialState.COMPLETE
    return Observed(
        params=trial.params,
        architecture=architecture,
        cost=analyse(architecture),
        is_running=is_running,
        is_complete=has_figures and is_feasible and reached >= task.epochs,
        seen=_seen(extra, reached) if has_figures else {},
    )


def _architecture(trial: FrozenTrial, task: Task) -> Architecture:
    """Draw it again, which is faster than reading it; what a person enqueued has no parameters."""
    if trial.params:
        return task.draw(RandomTrial(0, fixed=trial.params))
    return Architecture.from_dict(trial.user_attrs[ARCHITECTURE])


def _seen(extra: Mapping[str, Any], reached: float) -> dict[str, tuple[tuple[float, float], ...]]:
    seen: dict[str, tuple[tuple[float, float], ...]] = {
        name: ((reached, float(value)),)
        for name, value in extra[FIGURES].items()
        if METRICS[name].kind != "cost"
    }
    earlier = {float(epoch): float(value) for epoch, value in extra[RUNGS].items() if float(epoch) < reached}
    for epoch, accuracy in earlier.items():
        for name, value in (("accuracy", accuracy), ("error", 1.0 - accuracy)):
            if name in seen:
                seen[name] = (*seen[name], (epoch, value))
    return seen
