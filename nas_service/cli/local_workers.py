"""The workers that `nas search` starts for a study of its own."""

import os
import time

from nas_service.errors import ServiceError
from nas_service.gpus import visible_gpus, worker_options
from nas_service.processes import Slot, restart_ended, stop, worker_slot
from nas_service.settings import Settings

# Workers that die this often cannot start at all.
MAX_RESTARTS = 5
# Once all have found nothing to do, one looks again after so long, for a lease to have run out, and so often.
LOOK_AGAIN_S = 10.0
MAX_LOOKS = 30


def worker_count(asked: int | None) -> int:
    """Return how many workers a local search starts: what is asked for, or one a GPU, or one a core."""
    return asked or visible_gpus() or len(os.sched_getaffinity(0))


class LocalWorkers:
    """Worker processes that serve one study and end with it.

    Args:
        settings: The data folder they share.
        study_id: The only study they work on.
        count: How many; by default one a GPU, or one a core, since each trains on a single thread.
    """

    def __init__(self, settings: Settings, study_id: int, count: int | None) -> None:
        self._log = settings.data_home / "logs" / f"study-{study_id}-workers.log"
        self._restarts = self._looks = 0
        number = worker_count(count)
        self._slots: list[Slot] = [
            worker_slot(
                settings,
                f"study-{study_id}-worker-{index + 1}",
                "--study",
                str(study_id),
                "--until-finished",
                *worker_options(index, number),
                log=self._log,
            )
            for index in range(number)
        ]

    def start(self) -> None:
        """Start all workers."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        for slot in self._slots:
            slot.start()

    def supervise(self) -> None:
        """Restart workers that died; raises `ServiceError` when they keep dying, or none finds work.

        One that ended well found nothing more to do: it is not missed while others are at work.
        """
        ended = [slot for slot in self._slots if not slot.is_alive()]
        died = [slot for slot in ended if slot.process is None or slot.process.returncode != 0]
        self._restarts += len(restart_ended(died))
        if self._restarts > MAX_RESTARTS:
            raise ServiceError(f"the workers keep dying; their log is {self._log}")
        if len(ended) == len(self._slots) and not died:
            self._look_again()

    def _look_again(self) -> None:
        """Start one worker more: what is waited for may have been held by one that died."""
        if time.monotonic() - max(slot.started_at for slot in self._slots) < LOOK_AGAIN_S:
            return
        self._looks += len(restart_ended(self._slots[:1]))
        if self._looks > MAX_LOOKS:
            raise ServiceError(f"the workers of this machine find nothing to do; their log is {self._log}")

    def stop(self) -> None:
        """End all workers."""
        stop(self._slots)
