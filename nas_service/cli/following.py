"""Waiting for a job, and taking its files away."""

import shutil
from contextlib import suppress
from pathlib import Path
from time import sleep

from nas_service.cli.backend import Backend
from nas_service.cli.local_workers import LocalWorkers
from nas_service.cli.output import say
from nas_service.errors import NotFound, ServiceError
from nas_service.views import JobView
from nas_service.whole_folder import whole_folder

FIRST_LOOK_S = 0.2
LONGEST_LOOK_S = 2.0


def followed(backend: Backend, job: JobView, local: LocalWorkers | None = None) -> JobView:
    """Say what a job is at until it has ended, and return it complete; interrupted, it is cancelled.

    Args:
        backend: Where the job is.
        job: Which.
        local: Workers that were started for it, and are started again if they die.

    Raises:
        ServiceError: It failed or was cancelled; says why.
    """
    told, pause = "", FIRST_LOOK_S
    try:
        while not job.has_ended:
            news = f"job {job.id}: {job.reason or job.state} ({100 * job.progress:.0f} %)"
            if news != told:
                say(news)
            told, pause = news, min(1.2 * pause, LONGEST_LOOK_S)
            sleep(pause)
            if local:
                local.supervise()
            job = backend.job(job.id)
    except KeyboardInterrupt:
        with suppress(ServiceError):
            backend.cancel_job(job.id)
        raise
    if job.state != "complete":
        raise ServiceError(f"job {job.id} {job.state}: {job.reason}")
    return job


def fetch_files(backend: Backend, job: JobView, folder: Path, *, replaces: bool = False) -> None:
    """Write all files of a job into a folder, each verified by its sha256; all of them, or none.

    Raises:
        NotFound: The job has no files.
        Conflict: The folder holds something already.
        ServiceError: It cannot be written; nothing is left there.
    """
    if not job.artifacts:
        raise NotFound(f"job {job.id} has no files; it is {job.state}")
    with whole_folder(folder, replaces=replaces) as aside:
        for name, sha256 in job.artifacts.items():
            source = backend.artifact_path(sha256)
            shutil.copyfile(source, aside / name)
