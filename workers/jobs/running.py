"""One attempt at a job: its handler under a heartbeat, and what becomes of how it ends."""

import logging
import uuid
from functools import partial

from nas_service.crash_points import crash_point
from nas_service.jobs import Job, JobLease, JobOutcome, JobReport
from nas_service.ledger.protocol import LeaseLost, LedgerRefused, LedgerUnavailable, NotAdmitted
from nas_service.logs import about
from nas_service.work import Work
from workers.delivery import hashes
from workers.heartbeat import Heartbeat
from workers.interruption import Interrupted
from workers.jobs import HANDLERS
from workers.jobs.tools import JobFailed, JobResult, Resources, Tools

log = logging.getLogger("nas.worker")
MAX_REASON = 500


def run_job(work: Work, resources: Resources, heartbeat_s: float) -> None:
    """Do a job, and deliver what came of it; given back when the worker is told to end."""
    job, lease = work.job, work.job_lease
    assert job is not None
    assert lease is not None
    assert work.study is not None
    ledger = resources.ledger
    with (
        about(study=job.study_id, trial=job.trial_id),
        Heartbeat(lambda: ledger.report_job(lease, JobReport()), heartbeat_s) as heartbeat,
    ):
        log.info("job %d (%s): attempt %d", job.id, job.kind, lease.attempt)
        crash_point("worker.job_held")
        tools = Tools(resources, lease, heartbeat, study=work.study, trial=work.trial)
        try:
            found = _handled(job, tools)
        except Interrupted as interruption:
            _let_go(job, lease, resources, interruption)
            return
        _deliver(job, lease, resources, found)


def _handled(job: Job, tools: Tools) -> JobResult | str:
    """Return what the handler found, or why it failed: a job that breaks must not break the worker."""
    handler = HANDLERS.get(job.kind)
    if handler is None:
        return f"this worker knows no job {job.kind!r}; it knows {', '.join(HANDLERS)}"
    try:
        return handler(job, tools)
    except Interrupted:
        raise
    except NotAdmitted:
        # With another token the job can be done.
        raise
    except JobFailed as failure:
        return str(failure)
    except MemoryError:
        return "out of memory"
    except Exception as error:
        log.exception("job %d", job.id)
        return f"{type(error).__name__}: {error}"


def _deliver(job: Job, lease: JobLease, resources: Resources, found: JobResult | str) -> None:
    ledger, patience = resources.ledger, resources.patience
    files = {} if isinstance(found, str) else found.files
    report_id = uuid.uuid4().hex
    if isinstance(found, str):
        outcome = JobOutcome(report_id=report_id, state="failed", reason=found[:MAX_REASON] or "no reason")
    else:
        artifacts = hashes(files)
        outcome = JobOutcome(report_id=report_id, state="complete", result=found.result, artifacts=artifacts)
    try:
        for content in files.values():
            patience.call(partial(ledger.put_artifact, content), even_at_end=True)
        patience.call(lambda: ledger.complete_job(lease, outcome), even_at_end=True)
    except NotAdmitted:
        raise
    except (LeaseLost, LedgerRefused, LedgerUnavailable) as error:
        log.warning("the result of job %d is not taken: %s", job.id, error)
        return
    log.info("job %d (%s): %s%s", job.id, job.kind, outcome.state, f" ({found})" * isinstance(found, str))


def _let_go(job: Job, lease: JobLease, resources: Resources, interruption: Interrupted) -> None:
    if interruption.ending == "stopped":
        resources.patience.try_once(lambda: resources.ledger.release_job(lease))
        log.info("job %d (%s): given back", job.id, job.kind)
    else:
        log.warning("job %d (%s): cancelled, or lost to another attempt", job.id, job.kind)
