"""What the trials of a study teach, from its columns and details: pure functions on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import ARMS, Columns
from nas_service.details import Details
from nas_service.front import Growth
from nas_service.importance import Importances, importances
from nas_service.metrics import Goal
from nas_service.studies import Objective
from nas_service.trials import Arm

Floats = NDArray[np.float64]
Spent = Literal["trials", "epochs"]


@dataclass(frozen=True, slots=True)
class Growing:
    """Hypervolume against what was spent: a step function."""

    spent: list[float]
    volume: list[float]


@dataclass(frozen=True, slots=True)
class RungAudit:
    """What early stopping did at one rung."""

    epoch: int
    reached: int
    stopped: int
    # The best accuracy at the rung of who was stopped there, and its place among all who reached the rung.
    best_stopped: float | None
    place_of_best: int | None
    # Spearman's correlation of accuracy here and at the end, over those trained to the end; None below five.
    foresight: float | None


@dataclass(frozen=True, slots=True)
class Savings:
    """What the search did not have to train."""

    epochs_trained: int
    # Epochs that stopped trials would have taken beyond where they were stopped.
    epochs_spared: int
    repeats: int
    rejected: int

    @property
    def share_spared(self) -> float:
        """The spared share of all epochs that full training of the same trials would have taken."""
        total = self.epochs_trained + self.epochs_spared
        return self.epochs_spared / total if total else 0.0


def hypervolume_growth(
    columns: Columns,
    details: Details,
    objectives: Sequence[Objective],
    reference: Sequence[float],
    over: Spent,
    arm: Arm | None = None,
) -> Growing:
    """Return how the front's hypervolume grew with trained trials or with epochs of training.

    Args:
        columns: All trials.
        details: Their epochs.
        objectives: What the front is over.
        reference: The point that it is measured from.
        over: What counts as spent: trials that are complete or pruned, or their epochs.
        arm: Only the trials of this arm, as if it had been alone.
    """
    counts = columns.are("complete", "pruned")
    if arm is not None:
        counts &= columns.arms == ARMS.index(arm)
    order = np.flatnonzero(counts)
    order = order[np.argsort(columns.finished[order], kind="stable")]
    cost = details.epochs[order].astype(np.float64) if over == "epochs" else np.ones(len(order))
    spent = np.cumsum(cost)
    values = np.stack([columns.values(objective.metric)[order] for objective in objectives], axis=1)
    worthy = columns.are("complete")[order] & columns.feasible[order] & ~columns.excluded[order]
    values[~worthy] = np.nan
    directions: list[Goal] = [objective.direction for objective in objectives]
    growth = Growth(reference, directions)
    growth.add(values)
    steps = [(float(spent[count - 1]), volume) for count, volume in growth.steps]
    if len(order):
        steps.append((float(spent[-1]), growth.volume))
    return Growing([place for place, _ in steps], [volume for _, volume in steps])


def parameter_importances(columns: Columns, details: Details, metric: str, goal: Goal) -> Importances:
    """Return PED-ANOVA's importances for a metric over fully trained trials of the newest space."""
    mask = columns.are("complete") & ~columns.excluded
    losses = columns.values(metric)[mask] * (-1.0 if goal == "max" else 1.0)
    return importances(details.params.among(mask), losses)


def audit(columns: Columns, details: Details, epochs: int) -> list[RungAudit]:
    """Return what happened at each rung that somebody reached; `epochs` is full training."""
    last = details.epochs[: len(columns)]
    is_pruned = columns.are("pruned")
    found = []
    for place, rung in enumerate(details.rungs):
        at_rung = details.accuracy_at[: len(columns), place]
        reached = np.isfinite(at_rung)
        if reached.any() and rung < epochs:
            stopped = reached & is_pruned & (last == rung)
            found.append(_audit(columns, rung, at_rung, reached, stopped))
    return found


def _audit(
    columns: Columns, rung: int, at_rung: Floats, reached: NDArray[np.bool_], stopped: NDArray[np.bool_]
) -> RungAudit:
    best = float(at_rung[stopped].max()) if stopped.any() else None
    final = columns.values("accuracy")
    ended = reached & columns.are("complete") & np.isfinite(final)
    return RungAudit(
        epoch=rung,
        reached=int(reached.sum()),
        stopped=int(stopped.sum()),
        best_stopped=best,
        place_of_best=None if best is None else int((at_rung[reached] > best).sum()) + 1,
        foresight=spearman(at_rung[ended], final[ended]) if ended.sum() >= 5 else None,
    )


def savings(columns: Columns, details: Details, epochs: int, repeats: int, forbidden: int) -> Savings:
    """Return what early stopping, known architectures and limits saved; `epochs` is full training."""
    trained = details.epochs[: len(columns)]
    spared = np.maximum(epochs - trained[columns.are("pruned")], 0)
    return Savings(
        int(trained.sum()), int(spared.sum()), repeats, int(columns.are("infeasible").sum()) + forbidden
    )


def spearman(first: Floats, second: Floats) -> float | None:
    """Return the correlation of two rankings, ties at their mean rank; None where one of them is constant."""
    ranks = [_mean_ranks(values) for values in (first, second)]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _mean_ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], np.float64)
