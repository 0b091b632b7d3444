"""The bodies and answers of ledger calls over HTTP, where the values alone do not say enough."""

from typing import Annotated, Any

from pydantic import Field

from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Proposal, Value

RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]


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


class GiveUp(Value):
    """Why a study ends."""

    reason: str = Field(min_length=1, max_length=2000)


class Report(Value):
    """One epoch's figures under a lease."""

    lease: Lease
    report: EpochReport


class Complete(Value):
    """A trial's end under a lease."""

    lease: Lease
    outcome: Outcome


class Told(Value):
    """What the worker is to do."""

    instruction: Instruction


class Stored(Value):
    """Where a file lies now."""

    sha256: str
