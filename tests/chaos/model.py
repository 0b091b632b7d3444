"""What the ledger promises of one study, as small as it can be said: the state machine compares both."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nas_service.trials import MAX_ATTEMPTS, TERMINAL_STATES, TRAINED_STATES

OPEN = ("running", "paused", "draining")


@dataclass
class ModelTrial:
    """One trial: its fence is `attempt`, and only the newest attempt of a running trial may write."""

    state: str
    attempt: int = 0
    released: int = 0
    worker: int | None = None
    # A lease that ran out may be renewed until somebody takes the trial over; one that was given may not.
    lease: Literal["none", "held", "out", "given"] = "none"
    report: str | None = None

    def begin(self, worker: int) -> None:
        self.state, self.attempt, self.worker, self.lease = "running", self.attempt + 1, worker, "held"

    def end(self, state: str, report: str | None = None) -> None:
        self.state, self.report, self.lease = state, report, "none"


@dataclass
class ModelStudy:
    """One study and its trials by id."""

    budget: int
    state: str = "running"
    trials: dict[int, ModelTrial] = field(default_factory=dict)
    repeats: int = 0

    def count(self, *states: str) -> int:
        return sum(trial.state in states for trial in self.trials.values())

    @property
    def room(self) -> int:
        return self.budget - self.count("waiting", "running", *TRAINED_STATES)

    def claimable(self) -> Iterator[int]:
        """Yield what the next worker is to take over, in order: expired ones, then enqueued ones."""
        yield from (key for key, trial in sorted(self.trials.items()) if trial.lease in ("out", "given"))
        if self.state != "paused":
            yield from (key for key, trial in sorted(self.trials.items()) if trial.state == "waiting")

    def claim(self, worker: int) -> int | None:
        """Take a trial over; those that lost too many workers fail on the way."""
        while self.state in OPEN and (key := next(self.claimable(), None)) is not None:
            trial = self.trials[key]
            if trial.attempt - trial.released >= MAX_ATTEMPTS:
                trial.end("failed")
                self.end_if_done()
                continue
            trial.begin(worker)
            return key
        return None

    def holds(self, key: int, attempt: int) -> bool:
        trial = self.trials[key]
        return trial.state == "running" and trial.attempt == attempt

    def lose(self, worker: int) -> None:
        """Take all leases of a worker away."""
        for trial in self.trials.values():
            if trial.state == "running" and trial.worker == worker:
                trial.lease = "given"

    def cancel(self) -> None:
        self.state = "cancelled"
        for trial in self.trials.values():
            if trial.state not in TERMINAL_STATES:
                trial.end("failed")

    def end_if_done(self) -> None:
        """Finish once nothing is left to do."""
        is_idle = not self.count("running", "waiting")
        is_used_up = self.state == "running" and self.count(*TRAINED_STATES) >= self.budget
        if is_idle and (self.state == "draining" or is_used_up):
            self.state = "finished"
