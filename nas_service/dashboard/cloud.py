"""The candidates around a front, sorted by what became of them and thinned to what a browser draws well."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from nas_service.views import TrialSummary

# SVG stays fluent to about this many points.
MOST_POINTS = 2000


@dataclass(frozen=True, slots=True)
class Cloud:
    """Everything that is not the front; no trial is in two groups."""

    dominated: Sequence[TrialSummary]
    infeasible: Sequence[TrialSummary]
    # Rejected before they had a value for y: only x is known.
    untrained: Sequence[TrialSummary]
    pruned: Sequence[TrialSummary]
    # How many each group had before it was thinned.
    counts: dict[str, int]

    @classmethod
    def of(cls, trials: Iterable[TrialSummary], *, on_front: set[int], x: str, y: str) -> Self:
        """Sort ended trials that count and have a value for `x`, without those on the front."""
        groups: dict[str, list[TrialSummary]] = {
            "dominated": [],
            "infeasible": [],
            "untrained": [],
            "pruned": [],
        }
        for trial in trials:
            group = _group(trial, y)
            if group and x in trial.metrics and trial.id not in on_front:
                groups[group].append(trial)
        return cls(**_thinned(groups), counts={name: len(group) for name, group in groups.items()})


def _group(trial: TrialSummary, y: str) -> str | None:
    if trial.excluded:
        return None
    has_y = y in trial.metrics
    breaks_limit = any(violation > 0 for violation in trial.violations.values())
    if trial.state == "infeasible" or (trial.state == "complete" and breaks_limit):
        return "infeasible" if has_y else "untrained"
    if trial.state in ("complete", "pruned") and has_y:
        return "dominated" if trial.state == "complete" else "pruned"
    return None


def _thinned(groups: dict[str, list[TrialSummary]]) -> dict[str, list[TrialSummary]]:
    """Keep the same share of every group; a trial that is kept now was kept when there were fewer."""
    total = sum(len(group) for group in groups.values())
    share = min(1.0, MOST_POINTS / max(1, total))
    return {name: [trial for trial in group if _rank(trial) < share] for name, group in groups.items()}


def _rank(trial: TrialSummary) -> float:
    """A number in [0, 1) that spreads evenly over consecutive trials (golden ratio sequence)."""
    return (trial.number * 0.6180339887498949) % 1.0
