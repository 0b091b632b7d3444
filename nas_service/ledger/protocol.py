"""The Ledger: all that a worker needs of the service."""

from pathlib import Path
from typing import Any, Protocol

from nas_service.trials import (
    Changes,
    EpochReport,
    Instruction,
    Lease,
    Outcome,
    Proposal,
    Registration,
    Reservation,
    Work,
    WorkerInfo,
)


class LedgerError(Exception):
    """Base of what a ledger raises.

    LedgerError
    ├── LedgerUnavailable   database or server away: the same call may be made again
    ├── LedgerRefused       the call is wrong (unknown id, bad value, bad token): repeating it cannot help
    └── LeaseLost           another attempt owns the trial: abandon it
    """


class LedgerUnavailable(LedgerError):
    """The database or server did not answer; the same call may be made again."""


class LedgerRefused(LedgerError):
    """The call is wrong and would be refused again."""


class LeaseLost(LedgerError):
    """The trial belongs to another attempt, or has ended."""


class Ledger(Protocol):
    """What to work on, and what came of it.

    Every method is one transaction and raises `LedgerUnavailable` or `LedgerRefused`. Methods that take a
    lease write only while it is the trial's newest attempt.
    """

    def register(self, worker: WorkerInfo) -> Registration:
        """Join, or rejoin under the same name; a rejoining worker's unfinished leases expire at once."""

    def next_work(self, worker_id: int, *, study_id: int | None = None) -> Work:
        """Say what to do next, and mark the worker alive.

        Expired trials come first, then enqueued architectures, then a study that wants proposals.

        Args:
            worker_id: From `register`.
            study_id: Only work of this study.
        """

    def join_study(self, study_id: int, worker_id: int) -> int:
        """Return the worker's seat (0, 1, ...) among those that propose for the study; it keeps it."""

    def changes(self, study_id: int, since: int) -> Changes:
        """Return all rows of the study changed after revision `since` (0: everything, all spaces too)."""

    def reserve(
        self,
        study_id: int,
        worker_id: int,
        proposals: list[Proposal],
        *,
        attributes: dict[str, Any] | None = None,
    ) -> Reservation:
        """Write proposals and take leases on those to be trained, never more than the budget holds.

        All are refused unless they come from the newest version of the study's space.
        `attributes` are study attributes of the sampler; a key that exists keeps its first value.
        """

    def heartbeat(self, lease: Lease) -> Instruction:
        """Extend the lease; `lost` and `stop` tell the worker to abandon the trial."""

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        """Store one epoch of the learning curve, extend the lease, and decide at rungs whether to go on."""

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        """End the trial; the same `report_id` again is answered like the first time. Raises `LeaseLost`."""

    def release(self, lease: Lease) -> None:
        """Give an unfinished trial back at once, so that another worker takes it over."""

    def give_up(self, study_id: int, reason: str) -> None:
        """End a study that holds next to nothing feasible."""

    def leave(self, worker_id: int) -> None:
        """Say goodbye: the worker is listed as stopped, its leases expire at once."""

    def fetch_dataset(self, sha256: str) -> Path:
        """Return a local, verified copy of a data set's canonical file."""

    def put_artifact(self, content: bytes) -> str:
        """Store bytes under their sha256 and return it; storing the same bytes again is harmless."""
