"""Why a study is in its state, in words."""

from collections.abc import Sequence

from sqlalchemy import RowMapping

from nas_service.devices import is_local
from nas_service.views import WorkerView

NO_WORKER = "no worker is alive; start one with: nas worker start"
PROPOSING = "workers are proposing candidates"


def reason_of(
    row: RowMapping, workers: Sequence[WorkerView], confirming: tuple[int, int] | None = None
) -> str:
    """Return one line that says what a study waits for, or why it ended.

    Args:
        row: The study's.
        workers: All that are known.
        confirming: How many runs of its confirmation have ended, of how many; None while none is under way.
    """
    if row["reason"]:
        return f"{row['reason']}{_confirming(confirming)}"
    if row["state"] == "paused":
        return "paused; running trials end, resume to go on"
    trainers = [worker for worker in workers if worker.is_alive and not worker.measures_only]
    unmeasured = _why_not_measured(row["latency_device"], workers)
    # A trial that waits for its latency runs; on a machine that became noisy it still trains.
    if unmeasured and (not row["running"] or not is_local(row["latency_device"])):
        return unmeasured
    if row["running"]:
        return f"{_counted(row['running'], 'trial')} running on {_counted(len(trainers), 'worker')}"
    if not trainers:
        return NO_WORKER
    if row["waiting"]:
        return f"{_counted(row['waiting'], 'trial')} waiting for a free worker"
    return PROPOSING


def tells_of_progress(reason: str) -> bool:
    """Whether a running study's reason says that it goes on, and not what it waits for.

    Example:
        >>> tells_of_progress("2 trials running on 2 workers"), tells_of_progress(NO_WORKER)
        (True, False)
    """
    return reason == PROPOSING or " running on " in reason


def _confirming(runs: tuple[int, int] | None) -> str:
    return f"; its front is being confirmed ({runs[0]} of {runs[1]} runs)" if runs else ""


def _why_not_measured(device: str | None, workers: Sequence[WorkerView]) -> str | None:
    """Say why nobody can measure latency now; None where it is not needed or somebody can."""
    if device is None:
        return None
    able = [worker for worker in workers if worker.is_alive and worker.measures_on(device)]
    if any(worker.noise is None for worker in able):
        return None
    if able:
        noisy = "; ".join(f"{worker.name}: {worker.noise}" for worker in able)
        return f"no worker can measure latency on {device}, for the machine is too noisy ({noisy})"
    if is_local(device):
        has_trainers = any(worker.is_alive and not worker.measures_only for worker in workers)
        return f"no live worker has the device {device}" if has_trainers else None
    start = f"nas-worker --measure-only --device {device} --server URL"
    return f"no live worker with device {device}; start one there with: {start}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
