"""What a worker is told to do next."""

from typing import Literal

from nas_service.jobs import Job, JobLease
from nas_service.trials import Lease, Study, Trial, Value


class Work(Value):
    """What a worker is to do next.

    `run`: train `trial` under `lease` (an orphan or an enqueued architecture); `propose`: make proposals for
    `study`; `job`: do `job` under `job_lease`, about `study` and perhaps `trial`; `idle`: nothing to do,
    `reason` says why; `finished`: the study it was started for has ended.
    """

    kind: Literal["run", "propose", "job", "idle", "finished"]
    study: Study | None = None
    trial: Trial | None = None
    lease: Lease | None = None
    job: Job | None = None
    job_lease: JobLease | None = None
    reason: str = ""
