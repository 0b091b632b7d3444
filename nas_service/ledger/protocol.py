"""The Ledger: all that a worker needs of the service."""

from pathlib import Path
from typing import Any, Protocol

from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement
from nas_service.trials import (
    Changes,
    Checkpoint,
    EpochReport,
    Instruction,
    Lease,
    Outcome,
    Proposal,
    Registration,
    Reservation,
    WorkerInfo,
)
from nas_service.work import Work


class LedgerError(Exception):
    """Base of what a ledger raises.

    LedgerError
    ├── LedgerUnavailable   database or server away: the same call may be made again
    │   └── LedgerFull      no room to store it now: the same call may be made again
    ├── LedgerRefused       the call is wrong (unknown id, bad value): repeating it cannot help
    │   ├── NotAdmitted     the token is unknown, revoked, expired, or of another role
    │   ├── NotYours        the worker belongs to another token
    │   └── NameTaken       a living worker of another token has the name
    └── LeaseLost           another attempt owns the trial or job: abandon it
    """


class LedgerUnavailable(LedgerError):
    """The database or server did not answer; the same call may be made again."""


class LedgerFull(LedgerUnavailable):
    """There is no room to store more; the same call may be made again when there is."""


class LedgerRefused(LedgerError):
    """The call is wrong and would be refused again."""


class NotAdmitted(LedgerRefused):
    """The token opens nothing here; with another one the same call may be right."""


class NotYours(LedgerRefused):
    """The worker belongs to another token."""


class NameTaken(LedgerRefused):
    """A living worker of another token has the name."""


class LeaseLost(LedgerError):
    """The trial or job belongs to another attempt, or has ended."""


class Ledger(Protocol):
    """What to work on, and what came of it.

    Every method is one transaction and raises `LedgerUnavailable` or `LedgerRefused`. Methods that take a
    lease write only while it is the trial's newest attempt.
    """

    def register(self, worker: WorkerInfo) -> Registration:
        """Join, or rejoin under the same name; a rejoining worker's unfinished leases expire at once."""

    def next_work(self, worker_id: int, *, study_id: int | None = None) -> Work:
        """Say what to do next, and mark the worker alive.

        Jobs come first, for a person waits for each, then expired trials, then enqueued architectures, then a
        study that wants proposals. A study whose latency cannot be measured now is passed over: this worker's
        machine is too noisy, or no worker of its named device is alive.

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

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        """Remember a stored file from which another attempt can go on behind an epoch.

        The trial keeps its newest two until it ends. Raises `LeaseLost`; one that was not stored before is
        refused.
        """

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        """End the trial; the same `report_id` again is answered like the first time. Raises `LeaseLost`."""

    def release(self, lease: Lease) -> None:
        """Give an unfinished trial back at once, so that another worker takes it over.

        The attempt is none of those that a trial fails after, and neither are attempts before one that
        stored a checkpoint farther than they came.
        """

    def give_up(self, study_id: int, reason: str) -> None:
        """End a study that holds next to nothing feasible."""

    def draining(self, worker_id: int) -> None:
        """Say that the worker was told to end: it is listed as draining until it has left."""

    def leave(self, worker_id: int) -> None:
        """Say goodbye: the worker is listed as stopped, its leases expire at once."""

    def fetch_dataset(self, sha256: str) -> Path:
        """Return a local, verified copy of a data set's canonical file."""

    def put_artifact(self, content: bytes) -> str:
        """Store bytes under their sha256 and return it; storing the same bytes again is harmless."""

    def fetch_artifact(self, sha256: str) -> Path:
        """Return a local, verified copy of a file that running work needs; no other file is handed out.

        These are the checkpoints of running trials, and of running jobs the artifacts of the job's trial and
        whatever payload, result or artifacts of the job name.
        """

    def report_job(self, lease: JobLease, report: JobReport) -> Instruction:
        """Remember how far a job is, extend its lease, and say whether to go on; an empty report extends it.

        `stop`: the job was cancelled; `lost`: another attempt owns it.
        """

    def complete_job(self, lease: JobLease, outcome: JobOutcome) -> None:
        """End a job; the same `report_id` again is answered like the first time. Raises `LeaseLost`."""

    def release_job(self, lease: JobLease) -> None:
        """Give an unfinished job back at once; the attempt is none of those that a job fails after."""

    def known_measurement(
        self,
        network_hash: str,
        device: str,
        runtime_version: str | None = None,
        machine: str | None = None,
    ) -> Measurement | None:
        """Return the newest stored measurement of a folded network, or None.

        Any version of the runtime and any machine will do unless one is named.
        """

    def store_measurement(
        self, architecture: dict[str, Any], measurement: Measurement, worker_id: int
    ) -> None:
        """Keep a measurement; one of the same network, device, runtime, version and machine is there once.

        The first one stays, unless it was noisy and a later one is not. A predicted one is refused.
        """

    def measurements(self, device: str, since_id: int = 0, limit: int = 500) -> list[StoredMeasurement]:
        """Return a device's measurements behind an id, the oldest first, at most `limit` (1 to 500)."""

    def request_measurement(
        self, device: str, architecture: dict[str, Any], network_hash: str
    ) -> MeasurementRequest:
        """Ask a named device to measure a network, and say how that stands: the caller asks again later.

        All who ask for one network on one device share its request. A request that failed a while ago, or
        was measured in another version than the device now runs, is made anew.
        """

    def next_measurement(self, worker_id: int) -> MeasurementRequest | None:
        """Take the oldest request of the worker's device under a lease, and mark the worker alive.

        None where nothing waits, or where the worker's machine is too noisy. A request that lost three
        workers fails.
        """

    def answer_measurement(self, request_id: int, worker_id: int, answer: Measurement | str) -> None:
        """End a request with its measurement, which is stored, or with why it failed.

        The answer of a worker that no longer holds the request changes nothing.
        """
