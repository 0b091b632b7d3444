"""Who works, and what waits for whom."""

from collections.abc import Sequence
from typing import Protocol

from nas_service.diagnosis.check import Check, ok, warn
from nas_service.views import Page, StudyView, WorkerView


class Backend(Protocol):
    """What is asked of the service, in process or over HTTP."""

    def workers(self) -> list[WorkerView]: ...

    def studies(
        self, *, page_size: int = 50, page_token: str | None = None, state: str | None = None
    ) -> Page[StudyView]: ...


def check_activity(backend: Backend) -> list[Check]:
    """Return how many workers live, and for each running study that stands still why it does."""
    workers = backend.workers()
    running = backend.studies(state="running").items
    return [_workers(workers, has_work=bool(running)), *(_study(study) for study in running)]


def _workers(workers: Sequence[WorkerView], *, has_work: bool) -> Check:
    alive = [worker for worker in workers if worker.is_alive]
    noisy = [worker.name for worker in alive if worker.noise]
    found = f"{len(alive)} alive, {sum(worker.state == 'lost' for worker in workers)} lost"
    if has_work and not alive:
        return warn("workers", found, "start one with: nas worker start")
    if noisy:
        return warn("workers", f"{found}; too noisy to measure latency: {', '.join(noisy)}", "quieten them")
    return ok("workers", found)


def _study(study: StudyView) -> Check:
    found = f"{study.study} ({study.name}): {study.reason}"
    if study.trials.running:
        return ok("study", found)
    return warn("study", found, f"see: nas study show {study.study}")
