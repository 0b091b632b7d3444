"""The ledger's part on jobs over HTTP, for workers alone."""

from fastapi import APIRouter

from nas_service.api.bodies import WorkerRoute
from nas_service.api.dependencies import Id, TheLedger
from nas_service.errors import FieldError, InvalidInput
from nas_service.jobs import JobLease
from nas_service.ledger.calls import CompleteJob, ReportJob, Told

router = APIRouter(route_class=WorkerRoute, tags=["ledger"])


@router.post("/jobs/{job_id:row}:report")
def report_job(ledger: TheLedger, job_id: Id, call: ReportJob) -> Told:
    """Remember how far a job is, extend its lease, and say whether to go on."""
    return Told(instruction=ledger.report_job(_of(job_id, call.lease), call.report))


@router.post("/jobs/{job_id:row}:complete", status_code=204)
def complete_job(ledger: TheLedger, job_id: Id, call: CompleteJob) -> None:
    """End a job; the same report id again is answered like the first time."""
    ledger.complete_job(_of(job_id, call.lease), call.outcome)


@router.post("/jobs/{job_id:row}:release", status_code=204)
def release_job(ledger: TheLedger, job_id: Id, lease: JobLease) -> None:
    """Give an unfinished job back."""
    ledger.release_job(_of(job_id, lease))


def _of(job_id: int, lease: JobLease) -> JobLease:
    if lease.job_id != job_id:
        raise InvalidInput(FieldError("/job_id", f"the lease is of job {lease.job_id}", str(job_id)))
    return lease
