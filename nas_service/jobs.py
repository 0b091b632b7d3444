"""Jobs: work on a study's networks that is no trial and costs no budget, done by workers that train."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, StrictInt, StringConstraints, model_validator

from nas_service.trials import Value

JobKind = Literal["export", "confirm", "retrain"]
JobState = Literal["waiting", "running", "complete", "failed", "cancelled"]
STATES: tuple[JobState, ...] = get_args(JobState)
ENDED_JOBS: frozenset[JobState] = frozenset({"complete", "failed", "cancelled"})
# A name of a file within a job: it becomes one on people's disks.
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FileName = Annotated[str, StringConstraints(pattern=f"^{FILE_NAME.pattern}$")]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Job(Value):
    """One job: a row of the ledger."""

    id: int
    kind: JobKind
    study_id: int
    # The trial that it is about; None for one about a whole study.
    trial_id: int | None = None
    # What is asked for; its keys belong to the kind.
    payload: dict[str, Any] = Field(default_factory=dict)
    # "cuda" where only a worker with a GPU can do it.
    device: Literal["cuda"] | None = None
    state: JobState = "waiting"
    # What it is at while it runs, and why it ended.
    reason: str | None = None
    # How much of it is done, 0 to 1.
    progress: float = 0.0
    attempt: int = 0
    worker: str | None = None
    # What it found, so far; its keys belong to the kind.
    result: dict[str, Any] = Field(default_factory=dict)
    # sha256 by file name.
    artifacts: dict[str, str] = Field(default_factory=dict)
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED_JOBS


class JobLease(Value):
    """The right to write one job: every write is guarded by `attempt`, so a late one changes nothing."""

    job_id: StrictInt
    attempt: StrictInt
    worker_id: StrictInt


class JobReport(Value):
    """How far a job is; what is None stays as it was."""

    progress: Share | None = None
    # What it is at, in words.
    note: str | None = Field(default=None, max_length=500)
    # What another attempt need not do again.
    result: dict[str, Any] | None = None
    artifacts: dict[FileName, Sha256] | None = None


class JobOutcome(Value):
    """How an attempt ended; `report_id` makes the report idempotent."""

    report_id: str = Field(min_length=8, max_length=64)
    state: Literal["complete", "failed"]
    reason: str | None = Field(default=None, max_length=2000)
    result: dict[str, Any] = Field(default_factory=dict)
    artifacts: dict[FileName, Sha256] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.state == "failed" and not self.reason:
            raise ValueError("a failed job needs a reason")
        return self
