"""Whether a candidate goes on past a rung, from the rows of all of its arm who reached it."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select, true, update

from nas_service.constraints import is_kept, soft, violations
from nas_service.early_stopping import RungEntry, best, decide, place
from nas_service.metrics import METRICS, QUALITIES
from nas_service.store.models import EpochRow, StudyRow, TrialRow, table
from nas_service.store.specs import read_spec
from nas_service.studies import StudySpec
from nas_service.views import Rival, RungPlace

STUDY, TRIAL, EPOCH = table(StudyRow), table(TrialRow), table(EpochRow)
# Of those that stand before a trial so many are named.
MOST_RIVALS = 5
# The samplers that learn from what candidates showed on their way.
READS_RUNGS = frozenset({"auto"})
WITH_FIGURES = ("complete", "pruned")


def arrive(connection: Connection, study_id: int, trial_id: int, epoch: int) -> int:
    """Number a trial's arrival at a rung, and return the number; told again, it keeps it.

    Numbers are given under the study's lock, so that whoever has one sees all who have a lower one. Whose
    epoch is stored but has no number yet, because its worker was cut off in between, gets one on the way.

    Args:
        connection: In a transaction of its own, which ends before the trial is decided on.
        study_id: Whose rung.
        trial_id: A trial whose epoch is stored.
        epoch: At the rung.
    """
    known = select(EPOCH.c.arrival).where(EPOCH.c.trial_id == trial_id, EPOCH.c.epoch == epoch)
    number = connection.execute(known).scalar()
    if number is None:
        counted = update(STUDY).where(STUDY.c.id == study_id).returning(STUDY.c.arrivals)
        # Taking the lock comes first: who waited for it sees what the one before has numbered.
        number = connection.execute(counted.values(arrivals=STUDY.c.arrivals)).scalar() or 0
        waiting: set[int] = set(connection.execute(_unnumbered(study_id, trial_id, epoch)).scalars())
        for waits in sorted(waiting, key=lambda each: (each == trial_id, each)):
            number += 1
            is_it = (EPOCH.c.trial_id == waits) & (EPOCH.c.epoch == epoch)
            connection.execute(update(EPOCH).where(is_it).values(arrival=number))
        connection.execute(counted.values(arrivals=number))
        number = connection.execute(known).scalar()
    return number or 0


def _unnumbered(study_id: int, trial_id: int, epoch: int) -> Select[Any]:
    """Return the unfinished trials, and a given one, whose epoch at a rung has no number."""
    is_asked = or_(TRIAL.c.state.in_(("running", "waiting")), TRIAL.c.id == trial_id)
    return (
        select(EPOCH.c.trial_id)
        .join(TRIAL, TRIAL.c.id == EPOCH.c.trial_id)
        .where(TRIAL.c.study_id == study_id, is_asked, EPOCH.c.epoch == epoch, EPOCH.c.arrival.is_(None))
    )


def goes_on(
    connection: Connection, study_id: int, spec: StudySpec, trial_id: int, epoch: int, arrival: int
) -> bool:
    """Decide for one trial at a rung by who came there before; one without a finite quality does not go on.

    The control arm is compared with itself alone, so that it ends as it would without a sampler beside it.
    One that the newest space excludes is ranked against those that count, and counts for nobody else.
    """
    entries = _entries(connection, study_id, spec, trial_id, epoch, arrival)
    candidate = entries.pop(trial_id, None)
    if candidate is None:
        return False
    others = list(entries.values())
    return decide(candidate, others, spec.training.reduction_factor, _classes(connection, study_id))


def places(connection: Connection, study_id: int, spec: StudySpec, trial_id: int) -> list[RungPlace]:
    """Return where a trial stood at each rung it reached, among all that had reached it by then.

    Who was never decided on, as its worker was cut off before, stands among all that have reached it by now.
    """
    if spec.training.early_stopping == "none":
        return []
    found, classes = [], _classes(connection, study_id)
    for epoch in spec.training.rungs:
        known = select(EPOCH.c.arrival).where(EPOCH.c.trial_id == trial_id, EPOCH.c.epoch == epoch)
        arrival = connection.execute(known).scalar()
        entries = _entries(connection, study_id, spec, trial_id, epoch, arrival)
        candidate = entries.pop(trial_id, None)
        if candidate is None:
            break
        others = list(entries.values())
        found.append(
            RungPlace(
                epoch=epoch,
                reached=1 + len(others),
                place=1 + place(candidate, others),
                kept=best([candidate, *others], spec.training.reduction_factor, classes),
                ahead=tuple(_ahead(connection, spec, candidate, others)),
            )
        )
    return found


def _classes(connection: Connection, study_id: int) -> int:
    return int(connection.execute(select(STUDY.c.classes).where(STUDY.c.id == study_id)).scalar_one())


def _ahead(
    connection: Connection, spec: StudySpec, candidate: RungEntry, others: list[RungEntry]
) -> Iterator[Rival]:
    """Yield those that are as good in everything and better in something, the best first."""
    better = sorted(
        (entry for entry in others if _dominates(entry, candidate)), key=lambda entry: entry.values
    )
    ids = [entry.trial_id for entry in better[:MOST_RIVALS]]
    rows = connection.execute(select(TRIAL.c.id, TRIAL.c.number).where(TRIAL.c.id.in_(ids)))
    numbers = {row.id: row.number for row in rows}
    for entry in better[:MOST_RIVALS]:
        signs = _signed(spec)
        figures = {
            name: sign * value for (name, sign), value in zip(signs.items(), entry.values, strict=True)
        }
        yield Rival(trial=entry.trial_id, number=numbers[entry.trial_id], figures=figures)


def _dominates(entry: RungEntry, other: RungEntry) -> bool:
    return entry.values != other.values and all(
        ours <= theirs for ours, theirs in zip(entry.values, other.values, strict=True)
    )


def _entries(
    connection: Connection,
    study_id: int,
    spec: StudySpec,
    trial_id: int,
    epoch: int,
    arrival: int | None = None,
) -> dict[int, RungEntry]:
    """Return all that reached a rung by their ids: those that count, and the trial itself.

    With an arrival, those who came later are left out. Who ended without a number was cut off before. Who is
    beyond a soft limit will be on no front, and is nobody's rival there.
    """
    is_open = TRIAL.c.state.in_(("running", "waiting"))
    came_before = true() if arrival is None else func.coalesce(EPOCH.c.arrival <= arrival, ~is_open)
    counts = or_(TRIAL.c.excluded.is_(None), TRIAL.c.id == trial_id)
    is_random = TRIAL.c.arm == "random"
    own = select(is_random).where(TRIAL.c.id == trial_id).scalar_subquery()
    signs = _signed(spec)
    # The database picks out the costs: of a large study, reading all figures takes most of the time.
    costs = [TRIAL.c.metrics[name].as_float() for name in signs if not _is_told_by_accuracy(name)]
    limits = soft(spec.constraints)
    costs += [TRIAL.c.metrics[name].as_float() for name in limits]
    query = (
        select(TRIAL.c.id, EPOCH.c.accuracy, TRIAL.c.excluded.is_(None), *costs)
        .join(EPOCH, EPOCH.c.trial_id == TRIAL.c.id)
        .where(TRIAL.c.study_id == study_id, EPOCH.c.epoch == epoch, EPOCH.c.accuracy.is_not(None))
        .where(counts, is_random == own, came_before)
    )
    count = 3 + len(costs) - len(limits)
    entries = {}
    for row in connection.execute(query):
        figures = {name: value for name, value in zip(limits, row[count:], strict=True) if value is not None}
        counts_for_others = bool(row[2]) and is_kept(violations(figures, limits))
        if row[0] == trial_id or counts_for_others:
            values = _values(signs, row[1], row[3:count])
            entries[row[0]] = RungEntry(row[0], values, row[1], counts_for_others)
    return entries


def accuracies(connection: Connection, study_id: int, since: int) -> dict[int, dict[int, float]]:
    """Return by trial the accuracy behind its rungs, of those that ended after a revision.

    Empty where the study's sampler does not read them.
    """
    spec = read_spec(connection, study_id)
    if spec.search.sampler not in READS_RUNGS or not spec.training.rungs:
        return {}
    query = (
        select(EPOCH.c.trial_id, EPOCH.c.epoch, EPOCH.c.accuracy)
        .join(TRIAL, TRIAL.c.id == EPOCH.c.trial_id)
        .where(TRIAL.c.study_id == study_id, TRIAL.c.revision > since, TRIAL.c.state.in_(WITH_FIGURES))
        .where(EPOCH.c.epoch.in_(spec.training.rungs), EPOCH.c.accuracy.is_not(None))
    )
    found: dict[int, dict[int, float]] = {}
    for row in connection.execute(query):
        found.setdefault(row.trial_id, {})[row.epoch] = row.accuracy
    return found


def _values(signs: dict[str, float], accuracy: float, costs: Sequence[float | None]) -> tuple[float, ...]:
    """Return the objectives at the rung, all to be minimised.

    Args:
        signs: What is compared, see `_signed`.
        accuracy: At the rung.
        costs: Of those that accuracy does not tell, in the same order; None where a trial has none.
    """
    known = iter(costs)
    values = []
    for name, sign in signs.items():
        if name == "error":
            value: float | None = 1.0 - accuracy
        else:
            value = accuracy if name in QUALITIES else next(known)
        values.append(sign * (METRICS[name].worst if value is None else value))
    return tuple(values)


def _is_told_by_accuracy(name: str) -> bool:
    return name == "error" or name in QUALITIES


def _signed(spec: StudySpec) -> dict[str, float]:
    """Return what is compared at a rung, with the sign that turns it into something to be minimised.

    Accuracy stands in if none is a quality, and for qualities that are only known at the end of a trial.
    """
    objectives = {objective.metric: objective.direction for objective in spec.objectives}
    if not QUALITIES & objectives.keys():
        objectives["accuracy"] = "max"
    signs = {"max": -1.0, "min": 1.0}
    return {name: signs[direction] for name, direction in objectives.items()}
