"""The service's part on jobs: make, list, read and cancel them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from nas_service.jobs import Job, JobKind, JobState
from nas_service.paging import checked_page_size, decode_token, encode_token
from nas_service.settings import Settings
from nas_service.store import catalogue, jobs
from nas_service.transactions import Transactions
from nas_service.views import JobView, Page, WorkerView


class JobService(Transactions):
    """The methods of `Service` on jobs."""

    settings: Settings

    def create_job(
        self,
        kind: JobKind,
        *,
        study_id: int,
        trial_id: int | None = None,
        payload: dict[str, Any] | None = None,
        device: str | None = None,
    ) -> JobView:
        """Have workers do something about a study or one of its trials, both known to exist.

        Args:
            kind: Which handler of `workers.jobs` does it.
            study_id: Whose job it is; it goes when the study is deleted.
            trial_id: The trial that it is about.
            payload: What is asked for, as plain data.
            device: "cuda" where only a worker with a GPU can do it.
        """
        with self._writing() as connection:
            job_id = jobs.insert_job(
                connection, kind, study_id, trial_id=trial_id, payload=payload, device=device
            )
        return self.job(job_id)

    def job(self, job_id: int) -> JobView:
        """Return one job."""
        with self._reading() as connection:
            return self._job_views(connection, [jobs.read_job(connection, job_id)])[0]

    def jobs(
        self,
        *,
        study: int | None = None,
        trial: int | None = None,
        kind: JobKind | None = None,
        state: JobState | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> Page[JobView]:
        """List jobs, the newest first; of a study, a trial, a kind or a state where one is given."""
        size = checked_page_size(page_size)
        scope = f"jobs-{study}-{trial}-{kind}-{state}"
        below = decode_token(page_token, scope) if page_token else None
        with self._reading() as connection:
            found = jobs.read_jobs(
                connection,
                study_id=study,
                trial_id=trial,
                kind=kind,
                state=state,
                below=below,
                limit=size + 1,
            )
            views = self._job_views(connection, found[:size])
        more = len(found) > size
        return Page[JobView](items=views, next_page_token=encode_token(scope, views[-1].id) if more else None)

    def cancel_job(self, job_id: int) -> JobView:
        """End a job that waits or runs; its worker abandons it within seconds."""
        with self._writing() as connection:
            jobs.cancel_job(connection, job_id)
        return self.job(job_id)

    def _job_views(self, connection: Connection, found: Sequence[Job]) -> list[JobView]:
        waiting = [job for job in found if job.state == "waiting"]
        workers = catalogue.read_workers(connection, self.settings.lease_s) if waiting else []
        return [
            JobView.model_construct(
                **{**dict(job), "reason": _waits_for(job, workers) if job in waiting else job.reason}
            )
            for job in found
        ]


def _waits_for(job: Job, workers: Sequence[WorkerView]) -> str:
    """Return what a waiting job waits for, in words."""
    able = [worker for worker in workers if worker.is_alive and not worker.measures_only]
    if not able:
        return "no worker is alive; start one with: nas worker start"
    if job.device and not any(worker.device.startswith(job.device) for worker in able):
        return "no live worker has a GPU; start one there with: nas-worker --server URL"
    return "waits for a free worker"
