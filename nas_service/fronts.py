"""The front of a study, from its trials to what is shown."""

from collections.abc import Sequence

import numpy as np

from nas_service.front import Values, history, hypervolume, non_dominated
from nas_service.metrics import METRICS, Goal
from nas_service.studies import Objective, StudySpec
from nas_service.trials import Trial
from nas_service.views import FrontMember, FrontView, HypervolumePoint
from search_spaces import Architecture
from search_spaces.wording import summary

# The reference point lies this much beyond the worst value where nothing else fixes it.
MARGIN = 1.1


def front_view(
    study_id: int, spec: StudySpec, trials: Sequence[Trial], metrics: tuple[str, ...] | None
) -> FrontView:
    """Return the front over the study's objectives, or over `metrics` in their natural directions.

    Only complete trials of the newest space that keep every limit count, in the order in which they finished.
    """
    objectives = _objectives(spec, metrics)
    names = [objective.metric for objective in objectives]
    directions: list[Goal] = [objective.direction for objective in objectives]
    worthy = sorted(
        (
            trial
            for trial in trials
            if trial.state == "complete" and trial.is_feasible and trial.excluded is None
        ),
        key=lambda trial: (trial.finished_at or trial.created_at, trial.number),
    )
    values = np.array(
        [[trial.metrics.get(name, np.nan) for name in names] for trial in worthy], dtype=np.float64
    ).reshape(len(worthy), len(names))
    mask = non_dominated(values, directions)
    reference = _reference_point(spec, names, directions, values)
    members = [_member(trial) for trial, is_in in zip(worthy, mask, strict=True) if is_in]
    volumes = history(values, reference, directions)
    return FrontView(
        study=study_id,
        objectives=[{"metric": name, "goal": goal} for name, goal in zip(names, directions, strict=True)],
        reference_point=reference,
        hypervolume=hypervolume(values[mask], reference, directions),
        front=sorted(members, key=lambda member: member.number),
        hypervolume_history=[
            HypervolumePoint(trials=count, hypervolume=volume) for count, volume in enumerate(volumes, 1)
        ],
    )


def _objectives(spec: StudySpec, metrics: tuple[str, ...] | None) -> list[Objective]:
    if not metrics:
        return list(spec.objectives)
    asked = {objective.metric: objective for objective in spec.objectives}
    return [asked.get(name, Objective(metric=name)) for name in dict.fromkeys(metrics)]


def _reference_point(
    spec: StudySpec, names: list[str], directions: list[Goal], values: Values
) -> list[float]:
    """Return the limit where one is set, the metric's worst value where it has one, else the worst seen."""
    point = []
    for column, (name, direction) in enumerate(zip(names, directions, strict=True)):
        limit = spec.constraints.get(name)
        bound = (limit.min if direction == "max" else limit.max) if limit else None
        if bound is None and direction == METRICS[name].goal and np.isfinite(METRICS[name].worst):
            bound = METRICS[name].worst
        if bound is None:
            seen = values[:, column][np.isfinite(values[:, column])]
            bound = _worst_seen(seen, direction) if len(seen) else 1.0
        point.append(float(bound))
    return point


def _worst_seen(seen: Values, direction: Goal) -> float:
    return float(seen.min() / MARGIN) if direction == "max" else float(seen.max() * MARGIN)


def _member(trial: Trial) -> FrontMember:
    return FrontMember(
        trial=trial.id,
        number=trial.number,
        values=trial.metrics,
        architecture=trial.architecture,
        architecture_hash=trial.architecture_hash,
        summary=summary(Architecture.from_dict(trial.architecture)),
        predicted=trial.predicted_metrics,
    )
