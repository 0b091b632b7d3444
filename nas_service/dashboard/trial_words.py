"""Why a trial ended as it did, and what it is worth beside the others, in sentences."""

from collections.abc import Mapping, Sequence

from nas_service.dashboard.wording import label, share_text, short_label, value_text
from nas_service.metrics import METRICS
from nas_service.studies import Constraint, StudySpec
from nas_service.trials import TERMINAL_STATES
from nas_service.views import FrontView, Rival, RungPlace, TrialView

MOST_NAMED = 4


def why_it_ended(trial: TrialView, spec: StudySpec, places: Sequence[RungPlace], epochs: int) -> list[str]:
    """Return in sentences how a trial's training went and ended.

    Args:
        trial: Which.
        spec: Of its study.
        places: Where it stands at each rung that it reached.
        epochs: How many were trained.
    """
    if trial.state == "infeasible":
        return [f"Never trained: {_reason(trial)}", *_broken(trial, spec)]
    passed = [place for place in places if place.epoch < epochs or trial.state != "pruned"]
    if trial.state not in TERMINAL_STATES:
        first = "Waits for a worker." if trial.state == "waiting" else _progress(epochs, spec)
    elif trial.state == "complete":
        first = f"Trained to the end, {_count(epochs, 'epoch')}."
        passed = [] if spec.training.early_stopping == "none" else passed
    elif trial.state == "failed":
        first = f"Failed behind {_count(epochs, 'epoch')}: {_reason(trial)}"
    else:
        stopped = [_stopped(place) for place in places if place.epoch == epochs]
        return [*stopped, *_ahead_text(places[-1:]), *_passed(passed)] or [_reason(trial)]
    return [first, *_passed(passed)]


def beside_the_front(trial: TrialView, spec: StudySpec, front: FrontView) -> str:
    """Return where a complete trial stands beside the front; empty for all others."""
    if trial.state != "complete":
        return ""
    if trial.is_on_front:
        return "On the front: no other is as good in every objective and better in one."
    broken = [] if trial.excluded else _broken(trial, spec)
    if broken:
        return f"Not on the front, for it is outside a limit. {' '.join(broken)}"
    better = [] if trial.excluded else [m for m in front.front if _dominates(m.values, trial.metrics, spec)]
    if not better:
        return ""
    names = ", ".join(f"#{member.number}" for member in better[:MOST_NAMED])
    more = f" and {len(better) - MOST_NAMED} more" if len(better) > MOST_NAMED else ""
    return f"Not on the front: {names}{more} {'is' if len(better) == 1 else 'are'} better in every objective."


def slack(name: str, limit: Constraint, violation: float | None) -> str:
    """Return how far a figure is inside a limit or outside it.

    Example:
        >>> slack("params", Constraint(max=20_000), -0.25), slack("params", Constraint(max=20_000), 0.5)
        ('5,000 to spare (25 %)', 'over by 10,000 (50 %)')
    """
    if violation is None:
        return "not known"
    bounds = [bound for bound in (limit.min, limit.max) if bound is not None]
    share = share_text(abs(violation))
    # Of a limit on both sides nothing tells which bound is the nearer one.
    has_amount = len(bounds) == 1 and bounds[0] != 0
    amount = value_text(name, abs(violation * bounds[0])) if has_amount else share
    after = f" ({share})" if has_amount else ""
    if violation > 0:
        side = "over" if limit.min is None else "under" if limit.max is None else "outside"
        return f"{side} by {amount}{after}"
    return f"{amount} to spare{after}" if violation else "exactly at the limit"


def _dominates(values: Mapping[str, float], others: Mapping[str, float], spec: StudySpec) -> bool:
    """Whether values are as good as others in all objectives and better in one."""
    gains = [
        (values[o.metric] - others.get(o.metric, METRICS[o.metric].worst))
        * (1 if o.direction == "max" else -1)
        for o in spec.objectives
    ]
    return min(gains) >= 0 < max(gains)


def _stopped(place: RungPlace) -> str:
    going_on = "all went on" if place.kept == place.reached else f"the best {place.kept:,} went on"
    return (
        f"Stopped at the rung of epoch {place.epoch}: of the {place.reached:,} that had reached it by then "
        f"it stood at place {place.place:,}, and {going_on}."
    )


def _ahead_text(places: Sequence[RungPlace]) -> list[str]:
    rivals = [rival for place in places for rival in place.ahead]
    if not rivals:
        return []
    names = "; ".join(f"#{rival.number} ({_figures(rival)})" for rival in rivals[:MOST_NAMED])
    return [f"Better in every objective there: {names}."]


def _figures(rival: Rival) -> str:
    return ", ".join(
        f"{short_label(name).lower()} {value_text(name, value)}" for name, value in rival.figures.items()
    )


def _passed(places: Sequence[RungPlace]) -> list[str]:
    """Name the rungs that were passed, with the places as they were then."""
    if not places:
        return []
    return [f"Rungs passed: {', '.join(_rung(place) for place in places)}."]


def _rung(place: RungPlace) -> str:
    stops_nobody = ", most hardly better than guessing" if place.kept == place.reached > 1 else ""
    return f"epoch {place.epoch} (place {place.place:,} of {place.reached:,}{stops_nobody})"


def _progress(epochs: int, spec: StudySpec) -> str:
    return f"In training: {epochs} of {_count(spec.training.epochs, 'epoch')} done."


def _broken(trial: TrialView, spec: StudySpec) -> list[str]:
    return [
        f"{label(name)}: {slack(name, spec.constraints[name], violation)}."
        for name, violation in trial.violations.items()
        if violation > 0 and name in spec.constraints
    ]


def _reason(trial: TrialView) -> str:
    reason = trial.reason or trial.error or "no reason was given"
    return reason if reason.endswith(".") else f"{reason}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
