"""The ledger over HTTP, for workers on other machines. Every route demands a token, also on loopback."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from nas_service.api.bodies import OCTETS, ArtifactRoute, WorkerRoute, read_at_most
from nas_service.api.dependencies import FILE_ANSWER, Id, Sha256, TheLedger
from nas_service.crash_points import crash_point
from nas_service.errors import FieldError, InvalidInput
from nas_service.ledger.calls import (
    Acquire,
    Complete,
    GiveUp,
    Join,
    Remember,
    Report,
    Reserve,
    Seat,
    Stored,
    Told,
)
from nas_service.row_ids import MAX_ID
from nas_service.trials import Changes, Lease, Registration, Reservation, WorkerInfo
from nas_service.work import Work

router = APIRouter(route_class=WorkerRoute, tags=["ledger"])
artifact_router = APIRouter(route_class=ArtifactRoute, tags=["ledger"])

MAX_ARTIFACT_BYTES = 256 * 1024 * 1024
ARTIFACT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/workers:register")
def register(ledger: TheLedger, worker: WorkerInfo) -> Registration:
    """Join, or rejoin under the same name."""
    return ledger.register(worker)


@router.post("/workers/{worker_id:row}:leave", status_code=204)
def leave(ledger: TheLedger, worker_id: Id) -> None:
    """Say goodbye; unfinished trials go to others at once."""
    ledger.leave(worker_id)


@router.post("/workers/{worker_id:row}:draining", status_code=204)
def draining(ledger: TheLedger, worker_id: Id) -> None:
    """Say that a worker was told to end and takes nothing more."""
    ledger.draining(worker_id)


@router.post("/leases:acquire")
def acquire(ledger: TheLedger, call: Acquire) -> Work:
    """Say what to do next."""
    work = ledger.next_work(call.worker_id, study_id=call.study_id)
    crash_point("api.acquire.before_reply")
    return work


@router.post("/leases/{trial_id:row}:heartbeat")
def heartbeat(ledger: TheLedger, trial_id: Id, lease: Lease) -> Told:
    """Extend a lease."""
    return Told(instruction=ledger.heartbeat(_of(trial_id, lease)))


@router.post("/leases/{trial_id:row}:report")
def report(ledger: TheLedger, trial_id: Id, call: Report) -> Told:
    """Store one epoch and say whether to go on."""
    told = Told(instruction=ledger.report(_of(trial_id, call.lease), call.report))
    crash_point("api.report.before_reply")
    return told


@router.post("/leases/{trial_id:row}:checkpoint", status_code=204)
def checkpoint(ledger: TheLedger, trial_id: Id, call: Remember) -> None:
    """Remember a stored file from which the trial can be trained on."""
    ledger.checkpoint(_of(trial_id, call.lease), call.checkpoint)


@router.post("/leases/{trial_id:row}:complete", status_code=204)
def complete(ledger: TheLedger, trial_id: Id, call: Complete) -> None:
    """End a trial; the same report id again is answered like the first time."""
    crash_point("api.complete.before_call")
    ledger.complete(_of(trial_id, call.lease), call.outcome)
    crash_point("api.complete.before_reply")


@router.post("/leases/{trial_id:row}:release", status_code=204)
def release(ledger: TheLedger, trial_id: Id, lease: Lease) -> None:
    """Give an unfinished trial back."""
    ledger.release(_of(trial_id, lease))


@router.post("/studies/{study_id:row}:join")
def join_study(ledger: TheLedger, study_id: Id, call: Join) -> Seat:
    """Return the worker's seat among those that propose for the study."""
    return Seat(seat=ledger.join_study(study_id, call.worker_id))


@router.get("/studies/{study_id:row}/changes")
def changes(ledger: TheLedger, study_id: Id, since: Annotated[int, Query(ge=0, le=MAX_ID)] = 0) -> Changes:
    """Return all rows of a study changed after a revision."""
    return ledger.changes(study_id, since)


@router.post("/studies/{study_id:row}/proposals")
def reserve(ledger: TheLedger, study_id: Id, call: Reserve) -> Reservation:
    """Write proposals and take leases on those to be trained."""
    reservation = ledger.reserve(study_id, call.worker_id, call.proposals, attributes=call.attributes)
    crash_point("api.reserve.before_reply")
    return reservation


@router.post("/studies/{study_id:row}:give_up", status_code=204)
def give_up(ledger: TheLedger, study_id: Id, call: GiveUp) -> None:
    """End a study that holds next to nothing feasible."""
    ledger.give_up(study_id, call.reason)


@router.get("/datasets/{sha256}/content", responses=FILE_ANSWER, response_class=FileResponse)
def dataset_content(ledger: TheLedger, sha256: Sha256) -> Response:
    """Download a data set's canonical file."""
    path = ledger.fetch_dataset(sha256)
    return FileResponse(path, media_type=OCTETS, filename=f"{sha256}.safetensors")


@router.get("/artifacts/{sha256}/content", responses=FILE_ANSWER, response_class=FileResponse)
def checkpoint_content(ledger: TheLedger, sha256: Sha256) -> Response:
    """Download a checkpoint of a running trial; a worker's token reads no other artifact."""
    return FileResponse(ledger.fetch_artifact(sha256), media_type=OCTETS, filename=f"{sha256}.safetensors")


@artifact_router.put("/artifacts/{sha256}", openapi_extra=ARTIFACT_BODY)
async def store_artifact(request: Request, ledger: TheLedger, sha256: Sha256) -> Stored:
    """Store a file under its sha256; the same again is harmless."""
    content = b"".join([part async for part in read_at_most(request, MAX_ARTIFACT_BYTES)])
    found = await run_in_threadpool(lambda: hashlib.sha256(content).hexdigest())
    if found != sha256:
        raise InvalidInput(FieldError("/sha256", f"the body has the sha256 {found}"))
    stored = await run_in_threadpool(ledger.put_artifact, content)
    crash_point("api.artifact.before_reply")
    return Stored(sha256=stored)


def _of(trial_id: int, lease: Lease) -> Lease:
    if lease.trial_id != trial_id:
        raise InvalidInput(FieldError("/trial_id", f"the lease is of trial {lease.trial_id}", str(trial_id)))
    return lease
