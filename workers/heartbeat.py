"""Keeping a lease alive while its trial trains."""

import threading
from contextvars import copy_context
from types import TracebackType

from nas_service.ledger.protocol import Ledger, LedgerError
from nas_service.trials import Instruction, Lease


class Heartbeat:
    """Extends a lease from a thread of its own; `verdict` is what the ledger last said.

    While the ledger is away the verdict stays: training goes on, and whoever took the trial over meanwhile
    is told apart by the attempt number when the result is delivered.
    """

    def __init__(self, ledger: Ledger, lease: Lease, every_s: float) -> None:
        self.verdict: Instruction = "continue"
        self._ledger, self._lease, self._every_s = ledger, lease, every_s
        self._ends = threading.Event()
        # In a copy of the caller's context, so that its lines say what they are about.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._beat,), name="heartbeat", daemon=True
        )

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join(timeout=5.0)

    def _beat(self) -> None:
        while not self._ends.wait(self._every_s):
            try:
                answer = self._ledger.heartbeat(self._lease)
            except LedgerError:
                continue
            if answer in ("stop", "lost"):
                self.verdict = answer
                return
