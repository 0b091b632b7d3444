"""Handing results over: they are durable here before they are told, and told until they are known there."""

import hashlib
import logging
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from nas_service.crash_points import crash_point
from nas_service.ledger.protocol import (
    LeaseLost,
    Ledger,
    LedgerRefused,
    LedgerUnavailable,
    NotAdmitted,
    NotYours,
)
from nas_service.trials import Lease, Outcome
from workers.patience import Patience
from workers.spool import Finished, Spool

log = logging.getLogger("nas.worker")


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 of each file by its kind, as an outcome names its artifacts."""
    return {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()}


class Delivery:
    """Delivers the results of this worker, and those that another left in the same spool.

    Args:
        ledger: Who is told.
        patience: Repeats calls through an outage.
        folder: Of the spool.
    """

    def __init__(self, ledger: Ledger, patience: Patience, folder: Path) -> None:
        self._ledger, self._patience = ledger, patience
        self._spool = Spool(folder)
        self._spool.sweep()
        # Of results that workers with another token left here.
        self._others: set[Lease] = set()
        # Shared by the threads of a worker; two processes may deliver the same, which is harmless.
        self._delivering = threading.Lock()

    def hand_over(self, lease: Lease, outcome: Outcome, files: Mapping[str, bytes]) -> None:
        """Deliver a result, or leave it in the spool when told to end while the ledger is away."""
        finished = Finished(lease, outcome, files)
        try:
            self._spool.put(finished)
        except OSError as error:
            log.warning("the result of trial %d is not kept here: %s", lease.trial_id, error)
        with self._delivering:
            self._deliver(finished)

    def deliver_leftovers(self) -> None:
        """Deliver what waits in the spool, whichever worker left it."""
        with self._delivering:
            for finished in self._spool.waiting(frozenset(self._others)):
                self._deliver(finished)

    def _deliver(self, finished: Finished) -> None:
        lease = finished.lease
        try:
            for content in finished.files.values():
                self._patience.call(partial(self._ledger.put_artifact, content), even_at_end=True)
            crash_point("worker.artifacts_stored")
            self._patience.call(lambda: self._ledger.complete(lease, finished.outcome), even_at_end=True)
            crash_point("worker.delivered")
        except NotAdmitted:
            # With another token the same result is delivered.
            raise
        except NotYours as error:
            log.warning("the result of trial %d is left for a worker of its token: %s", lease.trial_id, error)
            self._others.add(lease)
            return
        except (LeaseLost, LedgerRefused) as error:
            log.warning("the result of trial %d is not wanted: %s", lease.trial_id, error)
        except LedgerUnavailable:
            return
        self._spool.remove(lease)
