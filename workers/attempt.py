"""One attempt at a trial: what it tells the ledger, what it takes over, and what it leaves to the next."""

import logging
from collections.abc import Iterator
from time import monotonic, perf_counter

from nas_service.crash_points import crash_point
from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerError, LedgerUnavailable, NotAdmitted
from nas_service.trials import Checkpoint, EpochReport, Instruction, Lease, Study, Trial
from workers.heartbeat import Heartbeat
from workers.interruption import Interrupted
from workers.patience import Patience
from workers.state_file import Identity, read_state, write_state
from workers.training.state import TrainingState, Unfit

log = logging.getLogger("nas.worker")
# A checkpoint is written after so much training without one, beside those at rungs.
CHECKPOINT_S = 60.0
# How often a checkpoint is asked for before training starts from an earlier one.
FETCH_TRIES = 4


class Attempt:
    """Reports epochs; a ledger that is away does not hold training up, and is told later what it missed.

    Args:
        ledger: The service.
        patience: Says when to end.
        work: The study, the trial and the lease under which it runs.
        heartbeat: Of the lease.
        checkpoint_s: How long to train without a checkpoint between rungs.
    """

    def __init__(
        self,
        ledger: Ledger,
        patience: Patience,
        work: tuple[Study, Trial, Lease],
        heartbeat: Heartbeat,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self.ledger, self.patience, self.checkpoint_s = ledger, patience, checkpoint_s
        self.study, self.trial, self.lease = work
        self.label = f"study {self.study.id} trial {self.trial.number}"
        self.is_reachable = True
        self._heartbeat = heartbeat
        # Reports in their order, the oldest first, that nobody is known to have heard.
        self._untold: list[EpochReport] = []

    def tell(self, report: EpochReport) -> Instruction:
        """Report an epoch; "stop" when the worker is to end."""
        answer = self._answer(report)
        return "stop" if answer == "continue" and self.patience.ends.is_set() else answer

    def handover(self, identity: Identity) -> "Handover":
        """Return what connects this attempt's training with those before and behind it.

        Raises:
            Interrupted: The worker is told to end already.
        """
        if self.patience.ends.is_set():
            raise Interrupted("stopped")
        return Handover(self, identity)

    def _answer(self, report: EpochReport) -> Instruction:
        self._untold.append(report)
        is_pruned = False
        try:
            while self._untold:
                answer = self.ledger.report(self.lease, self._untold[0])
                crash_point("worker.epoch_reported")
                self.is_reachable = True
                told = self._untold.pop(0)
                # What is said too late of a rung would throw more training away than it spares.
                is_late = told is not report and 2 * report.epoch > self.study.spec.training.epochs
                is_pruned = is_pruned or (answer == "prune" and not is_late)
                if answer in ("stop", "lost"):
                    break
            if answer in ("continue", "prune"):
                answer = "prune" if is_pruned else "continue"
        except LedgerUnavailable:
            answer, self.is_reachable = "prune" if is_pruned else self._heartbeat.verdict, False
        except LeaseLost:
            return "lost"
        # A cancelled study has ended its trials itself: nothing is given back.
        return "lost" if answer == "stop" else answer


class Handover:
    """`Continuity` through the ledger: checkpoints at rungs, after a while, and when told to end.

    Args:
        attempt: The attempt that trains.
        identity: Of its training: no other's state is gone on from.
    """

    def __init__(self, attempt: Attempt, identity: Identity) -> None:
        self._attempt, self._identity = attempt, identity
        self._stored_at, self._stored_epoch = monotonic(), 0
        # A checkpoint was due while the ledger was away.
        self._is_owed = False

    def earlier(self) -> Iterator[TrainingState]:
        """Yield the states that earlier attempts left and that can be trusted, the newest first."""
        for checkpoint in self._attempt.trial.checkpoints:
            try:
                state = self._read(checkpoint)
            except NotAdmitted:
                # Nothing is wrong with the checkpoint.
                raise
            except (LedgerError, OSError, Unfit) as error:
                log.warning(
                    "%s: the checkpoint of epoch %d is not used: %s",
                    self._attempt.label,
                    checkpoint.epoch,
                    error,
                )
                continue
            log.info("%s: a checkpoint of epoch %d is there", self._attempt.label, checkpoint.epoch)
            yield state

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        """Store the state if that is due; a ledger that is away costs the checkpoint, and nothing else."""
        self._is_owed = self._is_owed or is_last or self._is_due(state.epoch)
        if not self._is_owed or state.epoch <= self._stored_epoch or not self._attempt.is_reachable:
            return
        try:
            self._store(state)
        except (LedgerError, OSError) as error:
            log.warning("%s: no checkpoint of epoch %d: %s", self._attempt.label, state.epoch, error)

    def is_overdue(self) -> bool:
        """Whether the worker has no time left for the present epoch."""
        return self._attempt.patience.is_overdue()

    def _is_due(self, epoch: int) -> bool:
        has_waited = monotonic() - self._stored_at >= self._attempt.checkpoint_s
        return has_waited or epoch in self._attempt.study.spec.training.rungs

    def _read(self, checkpoint: Checkpoint) -> TrainingState:
        patience, ledger = self._attempt.patience, self._attempt.ledger
        path = patience.call(lambda: ledger.fetch_artifact(checkpoint.sha256), tries=FETCH_TRIES)
        if path is None:
            raise Interrupted("stopped")
        state = read_state(path.read_bytes(), self._identity)
        if state.epoch != checkpoint.epoch:
            raise Unfit(f"it is of epoch {state.epoch}")
        return state

    def _store(self, state: TrainingState) -> None:
        started, attempt = perf_counter(), self._attempt
        content = write_state(state, self._identity, attempt.lease.attempt)
        sha256 = attempt.ledger.put_artifact(content)
        attempt.ledger.checkpoint(attempt.lease, Checkpoint(epoch=state.epoch, sha256=sha256))
        self._stored_at, self._stored_epoch, self._is_owed = monotonic(), state.epoch, False
        log.info(
            "%s: checkpoint of epoch %d (%.0f kB, %.0f ms)",
            attempt.label,
            state.epoch,
            len(content) / 1e3,
            1e3 * (perf_counter() - started),
        )
