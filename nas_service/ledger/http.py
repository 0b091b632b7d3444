"""The ledger of a remote worker: it needs the server's address and a token, and knows no database."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from nas_service.connection import CACHE_BYTES, SHA256, Connection, Damaged, NoRoom
from nas_service.exchange import Refused, Unreachable
from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.ledger.calls import (
    Acquire,
    Answer,
    Ask,
    Complete,
    CompleteJob,
    GiveUp,
    Join,
    Keep,
    Known,
    Measurements,
    Remember,
    Report,
    ReportJob,
    Reserve,
    Seat,
    Serve,
    Served,
    Stored,
    Told,
)
from nas_service.ledger.protocol import (
    LeaseLost,
    LedgerRefused,
    LedgerUnavailable,
    NameTaken,
    NotAdmitted,
    NotYours,
)
from nas_service.measurements import Measurement, MeasurementRequest, StoredMeasurement
from nas_service.problems import Problem, type_of
from nas_service.redaction import redacted
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

Kind = TypeVar("Kind", bound=BaseModel)
JSON_HEADERS = {"Content-Type": "application/json"}


class HttpLedger:
    """`Ledger` over REST; see the protocol for what each method promises.

    Nothing is repeated here: after `LedgerUnavailable` the caller decides whether and when to ask again.

    Args:
        server_url: The server's address, "http://host:8000".
        token: A worker token.
        cache: Folder for downloaded files.
        cache_bytes: What they may take, for each kind.
    """

    def __init__(self, server_url: str, token: str, cache: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache = cache
        self._cache_bytes = cache_bytes
        with self._told_apart(redacted(server_url)):
            self._connection = Connection(server_url, token)

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()

    def register(self, worker: WorkerInfo) -> Registration:
        return self._post("/workers:register", worker, Registration)

    def draining(self, worker_id: int) -> None:
        self._send("POST", f"/workers/{worker_id}:draining")

    def leave(self, worker_id: int) -> None:
        self._send("POST", f"/workers/{worker_id}:leave")

    def next_work(self, worker_id: int, *, study_id: int | None = None) -> Work:
        return self._post("/leases:acquire", Acquire(worker_id=worker_id, study_id=study_id), Work)

    def join_study(self, study_id: int, worker_id: int) -> int:
        return self._post(f"/studies/{study_id}:join", Join(worker_id=worker_id), Seat).seat

    def changes(self, study_id: int, since: int) -> Changes:
        answer = self._send("GET", f"/studies/{study_id}/changes", params={"since": since})
        return self._parsed(answer, Changes)

    def reserve(
        self,
        study_id: int,
        worker_id: int,
        proposals: list[Proposal],
        *,
        attributes: dict[str, Any] | None = None,
    ) -> Reservation:
        call = Reserve(worker_id=worker_id, proposals=proposals, attributes=attributes)
        return self._post(f"/studies/{study_id}/proposals", call, Reservation)

    def heartbeat(self, lease: Lease) -> Instruction:
        return self._post(f"/leases/{lease.trial_id}:heartbeat", lease, Told).instruction

    def report(self, lease: Lease, report: EpochReport) -> Instruction:
        call = Report(lease=lease, report=report)
        return self._post(f"/leases/{lease.trial_id}:report", call, Told).instruction

    def checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        call = Remember(lease=lease, checkpoint=checkpoint)
        self._send("POST", f"/leases/{lease.trial_id}:checkpoint", call)

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        self._send("POST", f"/leases/{lease.trial_id}:complete", Complete(lease=lease, outcome=outcome))

    def release(self, lease: Lease) -> None:
        self._send("POST", f"/leases/{lease.trial_id}:release", lease)

    def give_up(self, study_id: int, reason: str) -> None:
        self._send("POST", f"/studies/{study_id}:give_up", GiveUp(reason=reason))

    def fetch_dataset(self, sha256: str) -> Path:
        return self._download("datasets", sha256, f"{sha256}.safetensors")

    def put_artifact(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._send("PUT", f"/artifacts/{sha256}", content=content, headers=headers)
        return self._parsed(answer, Stored).sha256

    def fetch_artifact(self, sha256: str) -> Path:
        return self._download("artifacts", sha256, sha256)

    def report_job(self, lease: JobLease, report: JobReport) -> Instruction:
        call = ReportJob(lease=lease, report=report)
        return self._post(f"/jobs/{lease.job_id}:report", call, Told).instruction

    def complete_job(self, lease: JobLease, outcome: JobOutcome) -> None:
        self._send("POST", f"/jobs/{lease.job_id}:complete", CompleteJob(lease=lease, outcome=outcome))

    def release_job(self, lease: JobLease) -> None:
        self._send("POST", f"/jobs/{lease.job_id}:release", lease)

    def known_measurement(
        self,
        network_hash: str,
        device: str,
        runtime_version: str | None = None,
        machine: str | None = None,
    ) -> Measurement | None:
        named = {"runtime_version": runtime_version, "machine": machine}
        query = {name: value for name, value in named.items() if value is not None}
        params = {"network_hash": network_hash, "device": device, **query}
        return self._parsed(self._send("GET", "/measurements:known", params=params), Known).measurement

    def store_measurement(
        self, architecture: dict[str, Any], measurement: Measurement, worker_id: int
    ) -> None:
        call = Keep(worker_id=worker_id, architecture=architecture, measurement=measurement)
        self._send("POST", "/measurements", call)

    def measurements(self, device: str, since_id: int = 0, limit: int = 500) -> list[StoredMeasurement]:
        params = {"device": device, "since_id": since_id, "limit": limit}
        return self._parsed(self._send("GET", "/measurements", params=params), Measurements).items

    def request_measurement(
        self, device: str, architecture: dict[str, Any], network_hash: str
    ) -> MeasurementRequest:
        call = Ask(device=device, architecture=architecture, network_hash=network_hash)
        return self._post("/measurements:request", call, MeasurementRequest)

    def next_measurement(self, worker_id: int) -> MeasurementRequest | None:
        return self._post("/measurements:acquire", Serve(worker_id=worker_id), Served).request

    def answer_measurement(self, request_id: int, worker_id: int, answer: Measurement | str) -> None:
        result = {"reason": answer} if isinstance(answer, str) else {"measurement": answer}
        call = Answer.model_validate({"worker_id": worker_id, **result})
        self._send("POST", f"/measurements/requests/{request_id}:answer", call)

    def _download(self, kind: str, sha256: str, name: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise LedgerRefused(f"{sha256[:80]!r} is no sha256")
        with self._told_apart(self._connection.server):
            target = self._cache / kind / name
            return self._connection.download(f"/{kind}/{sha256}/content", sha256, target, self._cache_bytes)

    def _post(self, path: str, body: BaseModel, kind: type[Kind]) -> Kind:
        return self._parsed(self._send("POST", path, body), kind)

    def _send(self, method: str, path: str, body: BaseModel | None = None, **options: Any) -> httpx.Response:
        if body is not None:
            options |= {"content": body.model_dump_json(), "headers": JSON_HEADERS}
        with self._told_apart(self._connection.server):
            return self._connection.send(method, path, **options)

    def _parsed(self, answer: httpx.Response, kind: type[Kind]) -> Kind:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise LedgerUnavailable(
                f"{redacted(str(answer.request.url))} gave an answer of another kind"
            ) from error

    @contextmanager
    def _told_apart(self, server: str) -> Iterator[None]:
        try:
            yield
        except Unreachable as error:
            raise LedgerUnavailable(f"{server} does not answer: {error}") from error
        except (Damaged, NoRoom) as error:
            raise LedgerUnavailable(str(error)) from error
        except Refused as error:
            raise _ledger_error(error.problem) from error


def _ledger_error(problem: Problem) -> Exception:
    if problem.type == type_of(LeaseLost):
        return LeaseLost(problem.detail)
    # A failure of the server says nothing of the call: what was trained must not be thrown away for it.
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        return LedgerUnavailable(problem.detail)
    for kind in (NotYours, NameTaken):
        if problem.type == type_of(kind):
            return kind(problem.detail)
    if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return NotAdmitted(problem.detail)
    return LedgerRefused(problem.detail)
