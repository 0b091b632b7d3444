"""The bodies and answers of ledger calls over HTTP, where the values alone do not say enough."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement
from nas_service.row_ids import MAX_ID
from nas_service.trials import Checkpoint, EpochReport, Instruction, Lease, Outcome, Proposal, Value
from search_spaces import Architecture


def _read(data: dict[str, Any]) -> dict[str, Any]:
    """Raise `ArchitectureError`, a `ValueError`, where it is no architecture."""
    Architecture.from_dict(data)
    return data


Described = Annotated[dict[str, Any], AfterValidator(_read)]
RowId = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]


class Acquire(Value):
    """A worker that asks for work, of one study or of any."""

    worker_id: RowId
    study_id: RowId | None = None


class Join(Value):
    """A worker that wants to propose for a study."""

    worker_id: RowId


class Seat(Value):
    """The place of a worker among those that propose."""

    seat: int


class Reserve(Value):
    """Proposals to be written."""

    worker_id: RowId
    proposals: list[Proposal] = Field(max_length=1000)
    attributes: dict[str, Any] | None = None

    @field_validator("proposals")
    @classmethod
    def _are_readable(cls, proposals: list[Proposal]) -> list[Proposal]:
        """What nobody can read must not become a trial: every page that lists it would fail."""
        for proposal in proposals:
            _read(proposal.architecture)
        return proposals


class GiveUp(Value):
    """Why a study ends."""

    reason: str = Field(min_length=1, max_length=2000)


class Report(Value):
    """One epoch's figures under a lease."""

    lease: Lease
    report: EpochReport


class Remember(Value):
    """A stored checkpoint under a lease."""

    lease: Lease
    checkpoint: Checkpoint


class Complete(Value):
    """A trial's end under a lease."""

    lease: Lease
    outcome: Outcome


class ReportJob(Value):
    """How far a job is, under a lease."""

    lease: JobLease
    report: JobReport


class CompleteJob(Value):
    """A job's end under a lease."""

    lease: JobLease
    outcome: JobOutcome


class Told(Value):
    """What the worker is to do."""

    instruction: Instruction


class Stored(Value):
    """Where a file lies now."""

    sha256: str


class Known(Value):
    """What is known of a network's latency."""

    measurement: Measurement | None


class Keep(Value):
    """A measurement to be stored, with what it was taken of."""

    worker_id: RowId
    architecture: Described
    measurement: Measurement


class Measurements(Value):
    """Stored measurements of a device."""

    items: list[StoredMeasurement]


class Ask(Value):
    """A network that a named device is to measure."""

    device: str = Field(min_length=1, max_length=63)
    architecture: Described
    network_hash: str = Field(pattern="^[0-9a-f]{64}$")


class Serve(Value):
    """A worker that can measure."""

    worker_id: RowId


class Served(Value):
    """What it is to measure now, if anything."""

    request: MeasurementRequest | None


class Answer(Value):
    """How a request ended: with a measurement, or with why there is none."""

    worker_id: RowId
    measurement: Measurement | None = None
    reason: str | None = Field(default=None, min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.measurement is None) == (self.reason is None):
            raise ValueError("an answer has either a measurement or a reason")
        return self

    @property
    def result(self) -> Measurement | str:
        return self.measurement if self.measurement is not None else str(self.reason)
