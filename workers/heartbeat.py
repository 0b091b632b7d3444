"""Keeping a lease alive while its trial trains, or its job is done."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from nas_service.ledger.protocol import LedgerError
from nas_service.trials import Instruction


class Heartbeat:
    """Extends a lease from a thread of its own by `beat`; `verdict` is what the ledger last said.

    While the ledger is away the verdict stays: training goes on, and whoever took the trial over meanwhile
    is told apart by the attempt number when the result is delivered.
    """

    def __init__(self, beat: Callable[[], Instruction], every_s: float) -> None:
        self.verdict: Instruction = "continue"
        self._extend, self._every_s = beat, every_s
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
                answer = self._extend()
            except LedgerError:
                continue
            if answer in ("stop", "lost"):
                self.verdict = answer
                return
