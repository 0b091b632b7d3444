"""A real worker whose training stands still behind its first epoch, for tests of what happens meanwhile."""

import threading
from typing import NoReturn

from nas_service.trials import EpochReport
from workers import attempt, cli, worker


class HeldAttempt(attempt.Attempt):
    """An attempt that tells of an epoch and then waits for ever."""

    def tell(self, report: EpochReport) -> NoReturn:
        """Report the epoch; never return."""
        super().tell(report)
        while True:
            threading.Event().wait()


def main(arguments: list[str]) -> None:
    """Work as `nas-worker` does, up to the first epoch."""
    vars(worker)["Attempt"] = HeldAttempt
    cli.main(arguments)
