"""How long a study will still take, from its budget and its pace so far."""

from datetime import UTC, datetime, timedelta

from nas_service.dashboard.wording import as_utc, duration_text
from nas_service.views import StudyView


def time_left_text(study: StudyView, alive: int, now: datetime | None = None) -> str:
    """Return the time until the budget is used up, in words; `unknown` where nothing tells.

    Minutes are a promise; a number of trials is estimated from the pace since the launch, and told as
    `about`. The nearer of the two counts.

    Args:
        study: Whose time.
        alive: Workers that train; without one, or paused, trials have no pace.
        now: The present.
    """
    now = now or datetime.now(UTC)
    exact = _until_deadline_s(study, now)
    estimated = _at_this_pace_s(study) if alive and study.state != "paused" else None
    known = [seconds for seconds in (exact, estimated) if seconds is not None]
    if not known:
        return "unknown"
    words = duration_text(max(0.0, min(known)))
    return words if exact is not None and exact <= min(known) else f"about {words}"


def _until_deadline_s(study: StudyView, now: datetime) -> float | None:
    minutes = study.spec.budget.minutes
    if minutes is None:
        return None
    return (as_utc(study.created_at) + timedelta(minutes=minutes) - now).total_seconds()


def _at_this_pace_s(study: StudyView) -> float | None:
    trained = study.trials.trained
    if study.budget_trials is None or not trained:
        return None
    return study.elapsed_s / trained * max(0, study.budget_trials - trained)
