"""Why a study is in its state, in words."""

from sqlalchemy import RowMapping


def reason_of(row: RowMapping, workers_alive: int) -> str:
    """Return one line that says what a study waits for, or why it ended."""
    if row["reason"]:
        return str(row["reason"])
    if row["state"] == "paused":
        return "paused; running trials end, resume to go on"
    if row["running"]:
        return f"{_counted(row['running'], 'trial')} running on {_counted(workers_alive, 'worker')}"
    if not workers_alive:
        return "no worker is alive; start one with: nas worker start"
    if row["waiting"]:
        return f"{_counted(row['waiting'], 'trial')} waiting for a free worker"
    return "workers are proposing candidates"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
