"""The candidates around a front, sorted by what became of them and thinned to what a browser draws well."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nas_service.columns import Columns
from nas_service.dashboard.history import trials_of
from nas_service.service import Service
from nas_service.views import StudyView, TrialSummary

# SVG stays fluent to about this many points.
MOST_POINTS = 2000
# What is shown together with what.
_FAMILY = {
    "dominated": "dominated",
    "beyond": "dominated",
    "infeasible": "infeasible",
    "untrained": "infeasible",
    "pruned": "pruned",
    "running": "running",
}
_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Cloud:
    """Everything that is not the front; no trial is in two groups."""

    dominated: Sequence[TrialSummary]
    infeasible: Sequence[TrialSummary]
    # Rejected before they had a value for y: only x is known.
    untrained: Sequence[TrialSummary]
    pruned: Sequence[TrialSummary]
    # In training, with what is known so far.
    running: Sequence[TrialSummary]
    # Trained, and beyond a limit.
    beyond: Sequence[TrialSummary]
    # How many each group had before it was thinned.
    counts: Mapping[str, int]
    # Infeasible ones without a value for x, which are in no group.
    hidden: int = 0

    @classmethod
    def of(cls, trials: Iterable[TrialSummary], *, on_front: set[int], x: str, y: str) -> Self:
        """Sort ended trials that count and have a value for `x`, without those on the front."""
        groups: dict[str, list[TrialSummary]] = {name: [] for name in _FAMILY}
        hidden = 0
        for trial in trials:
            group = _group(trial, y)
            hidden += trial.state == "infeasible" and x not in trial.metrics
            if group and x in trial.metrics and trial.id not in on_front:
                groups[group].append(trial)
        counts = {name: len(group) for name, group in groups.items()}
        kept = {
            name: [trial for trial in group if _is_kept(trial.number, counts)]
            for name, group in groups.items()
        }
        return cls(**kept, counts=counts, hidden=hidden)

    @classmethod
    def read(
        cls,
        service: Service,
        study: StudyView,
        *,
        on_front: Iterable[int],
        x: str,
        y: str,
        show: Container[str],
        fitting: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Return what `of` makes of all trials of a study, at the cost of those that are drawn.

        Args:
            service: Knows the trials.
            study: Whose trials.
            on_front: The numbers of those to leave out.
            x: Metric across.
            y: Metric upwards.
            show: The groups to read; the others are counted only.
            fitting: Marks those within other limits than the study's; None for the study's own.
        """
        columns = service.columns(study.study)
        groups = _groups(columns, np.fromiter(on_front, np.int64), x, y, fitting)
        counts = {name: int(mask.sum()) for name, mask in groups.items()}
        is_kept = _is_kept(np.arange(len(columns)), counts)
        drawn = {
            name: np.flatnonzero(mask & is_kept).tolist() if _FAMILY[name] in show else []
            for name, mask in groups.items()
        }
        trials = trials_of(service, study, [number for numbers in drawn.values() for number in numbers])
        known = {trial.number: _so_far(service, trial, y) for trial in trials}
        kept = {name: [known[number] for number in numbers] for name, numbers in drawn.items()}
        hidden = int((columns.are("infeasible") & np.isnan(columns.values(x))).sum())
        return cls(**kept, counts=counts, hidden=hidden)


def _group(trial: TrialSummary, y: str) -> str | None:
    if trial.excluded:
        return None
    has_y = y in trial.metrics
    breaks_limit = any(violation > 0 for violation in trial.violations.values())
    if trial.state == "infeasible":
        return "infeasible" if has_y else "untrained"
    if trial.state == "complete" and breaks_limit:
        return "beyond" if has_y else None
    if trial.state == "running":
        return "running"
    if trial.state in ("complete", "pruned") and has_y:
        return "dominated" if trial.state == "complete" else "pruned"
    return None


def _so_far(service: Service, trial: TrialSummary, y: str) -> TrialSummary:
    """Return a trial in training with the accuracy after its newest epoch, the others as they are."""
    if trial.state != "running" or y != "accuracy" or y in trial.metrics:
        return trial
    known = [point.accuracy for point in service.curve(trial.id) if point.accuracy is not None]
    return trial.model_copy(update={"metrics": {**trial.metrics, y: known[-1]}}) if known else trial


def _groups(
    columns: Columns, on_front: NDArray[np.int64], x: str, y: str, fitting: NDArray[np.bool_] | None
) -> dict[str, NDArray[np.bool_]]:
    """Mark the trials of each group, by the rules of `_group`."""
    shown = ~columns.excluded & ~np.isnan(columns.values(x))
    shown[on_front] = False
    has_y = ~np.isnan(columns.values(y))
    trained = shown & has_y & columns.are("complete")
    fits = columns.feasible if fitting is None else fitting
    rejected = shown & columns.are("infeasible")
    return {
        "dominated": trained & fits,
        "beyond": trained & ~fits,
        "infeasible": rejected & has_y,
        "untrained": rejected & ~has_y,
        "pruned": shown & has_y & columns.are("pruned"),
        "running": shown & columns.are("running"),
    }


def _is_kept(number: Any, counts: Mapping[str, int]) -> Any:
    """Tell of a number, or an array of them, whether it is in the share of every group that is kept.

    That which is kept now was kept when there were fewer.
    """
    return spread_places(number) < min(1.0, MOST_POINTS / max(1, sum(counts.values())))


def spread_places(number: Any) -> Any:
    """Return places in [0, 1) that spread evenly over consecutive numbers (golden ratio sequence)."""
    return (number * _GOLDEN_RATIO) % 1.0


def spread(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the places of at most so many of some numbers, evenly spread and rising."""
    if len(numbers) <= most:
        return np.arange(len(numbers))
    return np.sort(np.argsort(spread_places(numbers), kind="stable")[:most])
