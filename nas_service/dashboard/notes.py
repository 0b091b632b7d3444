"""Sentences under and instead of plots."""

from typing import Any

from nas_service.dashboard.cloud import MOST_POINTS
from nas_service.dashboard.wording import label
from nas_service.studies import ACTIVE_STATES
from nas_service.views import StudyView, TrialView

# Traces that are no kind of point, or no kind beside the others.
_UNCOUNTED = ("limit", "confirmed", "random")
_NAMES = {"beyond": "beyond the limits", "running": "in training"}


def why_empty(study: StudyView, figure: dict[str, Any], x: str, y: str, alive: int) -> str | None:
    """Why there is no front to draw yet, and what to do; None where there is one."""
    if any(trace["name"] == "front" and trace["x"] for trace in figure["data"]):
        return None
    counts = study.trials
    if counts.complete:
        return f"No finished trial has both {label(x)} and {label(y)}: choose other metrics."
    if study.state not in ACTIVE_STATES:
        return f"The study ended without a feasible, fully trained network: {study.reason}"
    if not alive:
        # The reason knows whether any worker would do, or only one on the study's device.
        return f"{study.reason[:1].upper()}{study.reason[1:]}"
    if study.state == "paused":
        return "Paused before the first network was trained. Resume to go on."
    parts = [f"{counts.running} in training"] if counts.running else []
    parts += [f"{counts.infeasible:,} broke a limit"] if counts.infeasible else []
    parts += [f"{counts.pruned} stopped early"] if counts.pruned else []
    seen = f" So far: {', '.join(parts)}." if parts else ""
    return f"Nothing feasible is fully trained yet.{seen}"


def pareto_caption(figure: dict[str, Any], hidden: int, x: str) -> str:
    """What the plot holds, in numbers, and what it leaves out.

    Args:
        figure: The plot.
        hidden: Infeasible candidates without a value for `x`.
        x: Metric across.
    """
    counts: dict[str, int] = {}
    for trace in figure["data"]:
        if trace["name"] in _UNCOUNTED:
            continue
        counts[trace["name"]] = counts.get(trace["name"], 0) + trace["meta"]["count"]
    parts = [f"{counts.pop('front', 0)} on the front"]
    parts += [f"{count:,} {_NAMES.get(name, name)}" for name, count in counts.items()]
    text = " · ".join(parts)
    if hidden:
        text += f". {hidden:,} infeasible candidates were rejected before they had {label(x).lower()}"
    if sum(counts.values()) > MOST_POINTS:
        text += f". Thinned to {MOST_POINTS:,} points; the front is whole"
    return f"{text}." if any(trace["x"] for trace in figure["data"]) or hidden else ""


def why_no_curve(trial: TrialView) -> str:
    """Why a trial has no learning curve."""
    if trial.state == "infeasible":
        return "Never trained: it broke a limit."
    if trial.state == "failed":
        return "It failed before its first epoch ended."
    return "Appears when the first epoch has ended."
