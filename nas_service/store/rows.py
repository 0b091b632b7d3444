"""From rows to domain values, in one place."""

from typing import Any

from sqlalchemy import Row, RowMapping

from nas_service.store.models import StudyRow, TrialRow, table
from nas_service.studies import StudySpec
from nas_service.trials import Checkpoint, Forbidden, Lease, Repeat, Study, Trial

STUDY = table(StudyRow)
TRIAL = table(TrialRow)
TRIAL_FIELDS = tuple(Trial.model_fields)
TRIAL_COLUMNS = tuple(TRIAL.c[name] for name in TRIAL_FIELDS)


def study_from(row: RowMapping) -> Study:
    """Return a study as workers see it."""
    return Study(
        id=row["id"],
        spec=StudySpec.model_validate(row["spec"]),
        space_version=row["space_version"],
        state=row["state"],
        dataset_sha256=row["dataset_sha256"],
        input_shape=tuple(row["input_shape"]),
        classes=row["classes"],
    )


def trial_from(row: RowMapping) -> Trial:
    """Return a trial; the row was written by us, so it is not validated again."""
    values = {name: row[name] for name in TRIAL_FIELDS}
    values["checkpoints"] = tuple(Checkpoint(**kept) for kept in row["checkpoints"] or ())
    return Trial.model_construct(**values)


def repeat_from(row: Row[Any]) -> Repeat:
    """Return a repeat."""
    return Repeat.model_construct(
        ordinal=row.ordinal,
        trial_id=row.trial_id,
        space_version=row.space_version,
        params=row.params,
        distributions=row.distributions,
        attributes=row.attributes,
    )


def forbidden_from(row: Row[Any]) -> Forbidden:
    """Return a forbidden proposal."""
    return Forbidden.model_construct(
        ordinal=row.ordinal,
        space_version=row.space_version,
        params=row.params,
        distributions=row.distributions,
        attributes=row.attributes,
        rule=row.rule,
    )


def lease_of(trial: Trial, worker_id: int) -> Lease:
    """Return the lease under which a worker runs a trial's newest attempt."""
    return Lease(trial_id=trial.id, attempt=trial.attempt, worker_id=worker_id)
