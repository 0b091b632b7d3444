"""What a study's budget still holds, by its row: in trials and in epochs.

A trial takes its place when it is reserved or enqueued: one of the trials, and all epochs that it may train.
When it ends it gives back the epochs that it did not train, so no budget is ever exceeded, whoever crashes.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from nas_service.store.models import StudyRow, table

STUDY = table(StudyRow)
UNFINISHED = ("waiting", "running")
# The states whose trials were trained and therefore use up the budget.
TRAINED = ("complete", "pruned", "failed")


def has_room(more: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Return whether so many more trials fit into a study's budget."""
    unfinished = STUDY.c.waiting + STUDY.c.running
    used = unfinished + STUDY.c.complete + STUDY.c.pruned + STUDY.c.failed
    epochs = STUDY.c.epochs_spent + (unfinished + more) * STUDY.c.epochs_a_trial
    return and_(
        or_(STUDY.c.budget_trials.is_(None), used + more <= STUDY.c.budget_trials),
        or_(STUDY.c.budget_epochs.is_(None), epochs <= STUDY.c.budget_epochs),
    )


def free(study: Any) -> int | None:
    """Return how many more trials a study's budget holds, None without a bound."""
    rooms = []
    unfinished = sum(study[state] for state in UNFINISHED)
    if study["budget_trials"] is not None:
        rooms.append(study["budget_trials"] - unfinished - sum(study[state] for state in TRAINED))
    if study["budget_epochs"] is not None:
        left = study["budget_epochs"] - study["epochs_spent"]
        rooms.append(left // max(1, study["epochs_a_trial"]) - unfinished)
    return int(min(rooms)) if rooms else None


def why_used_up(study: Any) -> str | None:
    """Say which bound of the budget holds no further trial; None where none is reached."""
    if study["budget_trials"] is not None and free({**study, "budget_epochs": None}) <= 0:  # type: ignore[operator]
        return f"the budget of {study['budget_trials']} trials is used up"
    room = free(study)
    if room is None or room > 0:
        return None
    left = study["budget_epochs"] - study["epochs_spent"]
    rest = f": the {left} that are left are too few for another candidate" if left else ""
    return f"the budget of {study['budget_epochs']} epochs is used up{rest}"
