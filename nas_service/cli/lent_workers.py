"""Workers for what is asked of a study that has ended, where none are there to do it."""

from collections.abc import Iterator
from contextlib import contextmanager

from nas_service.cli.backend import Backend, server_address
from nas_service.cli.local_workers import LocalWorkers
from nas_service.settings import Settings


@contextmanager
def workers_for(
    backend: Backend, server: str | None, study_id: int, count: int | None = None
) -> Iterator[LocalWorkers | None]:
    """Start workers of this machine for a study of its data folder, unless living ones will do its work.

    Args:
        backend: Where the study is.
        server: The flag that chose it: a server has workers of its own.
        study_id: Which study.
        count: How many; one a core by default.
    """
    are_there = any(worker.is_alive and not worker.measures_only for worker in backend.workers())
    if server_address(server) is not None or are_there:
        yield None
        return
    local = LocalWorkers(Settings(), study_id, count)
    local.start()
    try:
        yield local
    finally:
        local.stop()
