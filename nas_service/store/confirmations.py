"""Confirming a front: its runs are jobs, one a member and seed, so that each is done, and counted, once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, case, func, select

from nas_service.confirmations import FinalPart
from nas_service.confirming import chosen
from nas_service.front import non_dominated
from nas_service.jobs import ENDED_JOBS, Job
from nas_service.progress import reference_point
from nas_service.store import jobs
from nas_service.store.models import JobRow, TrialRow, table
from nas_service.studies import Confirm, StudySpec

JOB, TRIAL = table(JobRow), table(TrialRow)
# Put together once: nearly every read asks for these.
_ALL = (
    select(*jobs.JOB_COLUMNS)
    .where(JOB.c.study_id == bindparam("wanted"), JOB.c.kind == "confirm")
    .order_by(JOB.c.id)
)
_RUNS = (
    select(
        JOB.c.study_id,
        func.sum(case((JOB.c.state.in_(tuple(ENDED_JOBS)), 1), else_=0)).label("ended"),
        func.count().label("all"),
    )
    .where(JOB.c.kind == "confirm", JOB.c.study_id.in_(bindparam("wanted", expanding=True)))
    .group_by(JOB.c.study_id)
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are trained: only runs of equal settings are put together."""

    epochs: int
    data: FinalPart

    @classmethod
    def of(cls, confirm: Confirm, spec: StudySpec) -> "Settings":
        """Return what a request means for a study."""
        return cls(confirm.epochs or spec.training.epochs, confirm.data)


def begin(
    connection: Connection,
    study_id: int,
    spec: StudySpec,
    wanted: Confirm,
    trial_ids: Sequence[int] | None = None,
) -> list[int]:
    """Ask for the runs that are missing and return their jobs.

    What was asked for before, with the same settings, is asked for again only if it failed or was cancelled.

    Args:
        connection: In a transaction that holds the study's lock: nobody else asks meanwhile.
        study_id: Which study.
        spec: Its spec.
        wanted: How many members, seeds and epochs.
        trial_ids: Certain trials instead of members of the front.
    """
    members = trial_ids if trial_ids is not None else front_members(connection, study_id, spec, wanted.top)
    settings = Settings.of(wanted, spec)
    known = {
        (job.trial_id, job.payload["run"])
        for job in read(connection, study_id)
        if settings_of(job) == settings and job.state not in ("failed", "cancelled")
    }
    return [
        jobs.insert_job(
            connection,
            "confirm",
            study_id,
            trial_id=trial_id,
            payload={"run": run, "epochs": settings.epochs, "data": settings.data},
        )
        # All members once before any twice: the first figures come early.
        for run in range(wanted.seeds)
        for trial_id in members
        if (trial_id, run) not in known
    ]


def front_members(connection: Connection, study_id: int, spec: StudySpec, top: int | None) -> list[int]:
    """Return the trials of a study's front that together cover most of it, the one that covers most first."""
    query = select(TRIAL.c.id, TRIAL.c.metrics, TRIAL.c.violations).where(
        TRIAL.c.study_id == study_id, TRIAL.c.state == "complete", TRIAL.c.excluded.is_(None)
    )
    rows = [
        row
        for row in connection.execute(query.order_by(TRIAL.c.number))
        if all(excess <= 0 for excess in row.violations.values())
    ]
    names = [objective.metric for objective in spec.objectives]
    directions = [objective.direction for objective in spec.objectives]
    figures = [[row.metrics.get(name, np.nan) for name in names] for row in rows]
    values = np.array(figures, np.float64).reshape(len(rows), len(names))
    members = np.flatnonzero(non_dominated(values, directions))
    reference = list(reference_point(spec.objectives, spec, values))
    return [rows[members[place]].id for place in chosen(values[members], reference, directions, top)]


def read(connection: Connection, study_id: int) -> list[Job]:
    """Return all runs of a study that were ever asked for, the oldest first."""
    return [jobs.job_from(row) for row in connection.execute(_ALL, {"wanted": study_id}).mappings()]


def current(runs: Sequence[Job], settings: Settings | None = None) -> list[Job]:
    """Return the runs of some settings, or of those asked for last; of a run that was repeated the newest."""
    if not runs:
        return []
    settings = settings or settings_of(runs[-1])
    newest = {(job.trial_id, job.payload["run"]): job for job in runs if settings_of(job) == settings}
    return list(newest.values())


def settings_of(job: Job) -> Settings:
    """Return how a run is trained."""
    return Settings(job.payload["epochs"], job.payload["data"])


def by_trial(runs: Sequence[Job]) -> dict[int, list[Job]]:
    """Return runs by their trial, in the order of their seeds."""
    found: dict[int, list[Job]] = defaultdict(list)
    for job in sorted(runs, key=lambda job: job.payload["run"]):
        assert job.trial_id is not None, "a run is about a trial"
        found[job.trial_id].append(job)
    return dict(found)


def figures(runs: Sequence[Job]) -> list[Mapping[str, float]]:
    """Return the qualities of those that are complete."""
    return [job.result["metrics"] for job in runs if job.state == "complete"]


def under_way(connection: Connection, study_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return (runs that ended, all runs) of each study that has runs waiting or running."""
    rows: Any = connection.execute(_RUNS, {"wanted": list(study_ids)}).all()
    return {row.study_id: (int(row.ended), int(row.all)) for row in rows if row.ended < row.all}
