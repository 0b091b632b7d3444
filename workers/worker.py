"""The worker's loop: do a job, take over an orphan or propose; evaluate, report."""

import logging
import threading
import uuid
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch

from nas_service.crash_points import crash_point
from nas_service.datasets import load_dataset
from nas_service.ledger.protocol import Ledger, LedgerRefused
from nas_service.logs import about
from nas_service.measurements import Measurement
from nas_service.trials import Lease, Outcome, Study, Trial, WorkerInfo
from nas_service.work import Work
from search_spaces import Architecture
from workers.attempt import CHECKPOINT_S, Attempt
from workers.company import Company
from workers.crew import run_together
from workers.data.arrays import TrainingData, training_data
from workers.delivery import Delivery, hashes
from workers.devices import CPU, own_stream, resident
from workers.evaluation import Evaluation, evaluate
from workers.heartbeat import Heartbeat
from workers.interruption import Interrupted
from workers.jobs.running import run_job
from workers.jobs.tools import Resources
from workers.latency.predictions import Predictions
from workers.latency.source import LatencySource
from workers.noise import Noise
from workers.patience import DRAIN_S, Patience
from workers.prediction import LatencyPredictor
from workers.proposer import Proposer
from workers.versions import versions

log = logging.getLogger("nas.worker")
Key = TypeVar("Key")
Kept = TypeVar("Kept")
IDLE_S = 0.5
# What a worker holds in memory beyond its present study.
KEPT_STUDIES = 4


class Worker:
    """Runs trials, one after another or several at once, until told to end.

    Args:
        ledger: The service.
        information: What the worker says of itself.
        spool_folder: Where undelivered results wait, those of other workers too.
        study_id: The only study to work on.
        until_finished: End when that study has.
        noise: Whether this machine is quiet enough for latencies; taken for quiet where nobody looks.
        device: Where candidates train; a CPU without it.
        at_once: How many candidates, each in a thread; fewer when they turn out not to fit together.
        drain_s: How long the present epoch may take when told to end; a longer one is abandoned.
        checkpoint_s: How long to train between rungs without a checkpoint.
    """

    def __init__(
        self,
        ledger: Ledger,
        information: WorkerInfo,
        spool_folder: Path,
        *,
        study_id: int | None = None,
        until_finished: bool = False,
        noise: Noise | None = None,
        device: torch.device = CPU,
        at_once: int = 1,
        drain_s: float = DRAIN_S,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self._ledger = ledger
        self._information = information
        self._study_id = study_id
        self._until_finished = until_finished
        self._noise = noise
        self._patience = Patience(drain_s)
        self._delivery = Delivery(ledger, self._patience, spool_folder)
        self._checkpoint_s = checkpoint_s
        self._proposers: dict[int, Proposer] = {}
        self._data: dict[tuple[str, float, int], TrainingData] = {}
        self._latencies: LatencySource | None = None
        self._device = device
        self._company = Company(at_once)
        # For what the threads share: the ledger's next work, the samplers, the data sets.
        self._asking, self._proposing, self._loading = (threading.Lock() for _ in range(3))
        # Threads that have work, and may hold a lease.
        self._busy = 0
        self._worker_id = 0
        self._heartbeat_s = 15.0

    def end(self) -> None:
        """Ask the loop to end after the present epoch; its trial is given back."""
        self._patience.end()

    def end_on_signals(self) -> None:
        """End on the first SIGTERM or SIGINT, at once on the second."""
        self._patience.end_on_signals("epoch")

    def run(self) -> None:
        """Work until told to end; raises `LedgerRefused` if the service does not want this worker."""
        if not self._join():
            return
        log.info("joined as %s (%d)", self._information.name, self._worker_id)
        crash_point("worker.joined")
        self._patience.announce_by(lambda: self._ledger.draining(self._worker_id))
        run_together(self._work, self._company.places, on_error=self.end)
        self._say_goodbye()

    def _work(self, place: int) -> None:
        # One stream for the thread's life: torch has few and hands them out by turns, and two candidates on
        # one would write into each other's graphs.
        with own_stream(self._device):
            self._work_on(place)

    def _work_on(self, place: int) -> None:
        while not self._patience.ends.is_set() and place < self._company.places:
            self._delivery.deliver_leftovers()
            work = self._next_work()
            try:
                if work is None or (work.kind == "finished" and self._until_finished):
                    break
                self._do(work)
            finally:
                with self._asking:
                    self._busy -= 1

    def _next_work(self) -> Work | None:
        with self._asking:
            work = self._patience.call(
                lambda: self._ledger.next_work(self._worker_id, study_id=self._study_id)
            )
            self._busy += 1
            return work

    def _join(self) -> bool:
        """Join, or tell the service of another noise; False when told to end meanwhile."""
        noise = self._noise.reason if self._noise else None
        information = self._information.model_copy(update={"noise": noise})
        registration = self._patience.call(lambda: self._ledger.register(information))
        if registration is None:
            return False
        if registration.worker_id != self._worker_id:
            predictions = Predictions(self._ledger, LatencyPredictor.fit)
            self._latencies = LatencySource(
                self._ledger,
                registration.worker_id,
                self._patience,
                predictions,
                quiet=self._company.quiet,
            )
        self._worker_id, self._heartbeat_s = registration.worker_id, registration.heartbeat_s
        return True

    def _do(self, work: Work) -> None:
        if work.kind == "run" and work.study and work.trial and work.lease:
            self._evaluate(work.study, work.trial, work.lease)
        elif work.kind == "job":
            run_job(work, self._resources(), self._heartbeat_s)
        elif work.kind == "propose" and work.study:
            self._propose(work.study)
        elif not self._listens_again():
            self._patience.ends.wait(IDLE_S)

    def _listens_again(self) -> bool:
        """Tell the service if this machine became noisy or quiet; never while another thread has work.

        Joining again would end that thread's lease.
        """
        if not (self._noise and self._noise.is_due):
            return False
        with self._asking:
            return self._busy == 1 and self._noise.has_changed() and self._join()

    def _propose(self, study: Study) -> None:
        try:
            with self._proposing:
                if self._patience.ends.is_set():
                    return
                proposed = self._patience.call(lambda: self._proposer(study).propose())
        except LedgerRefused as error:
            # The study was deleted between two calls.
            log.warning("study %d: %s", study.id, error)
            self._proposers.pop(study.id, None)
            return
        if proposed:
            self._evaluate(study, *proposed)
        else:
            self._patience.ends.wait(IDLE_S)

    def _proposer(self, study: Study) -> Proposer:
        known = self._proposers.get(study.id)
        if known is None or known.space_version != study.space_version:
            known = self._proposers[study.id] = Proposer(study, self._ledger, self._worker_id)
            _forget_oldest(self._proposers)
        return known

    def _evaluate(self, study: Study, trial: Trial, lease: Lease) -> None:
        with about(study=study.id, trial=trial.id):
            self._run_attempt(study, trial, lease)

    def _run_attempt(self, study: Study, trial: Trial, lease: Lease) -> None:
        beat = partial(self._ledger.heartbeat, lease)
        with Heartbeat(beat, self._heartbeat_s) as heartbeat:
            work = (study, trial, lease)
            attempt = Attempt(self._ledger, self._patience, work, heartbeat, self._checkpoint_s)
            log.info("%s: attempt %d", attempt.label, lease.attempt)
            crash_point("worker.trial_held")
            evaluation = evaluate(
                trial.architecture,
                study.spec,
                lambda: self._training_data(study),
                seed=_training_seed(study, trial),
                on_epoch=attempt.tell,
                latency=lambda architecture: self._latency(architecture, study, trial, heartbeat),
                company=self._company,
                continuity=attempt.handover,
            )
        self._conclude(attempt, evaluation)

    def _conclude(self, attempt: Attempt, evaluation: Evaluation) -> None:
        lease, label = attempt.lease, attempt.label
        if evaluation.state == "stopped":
            self._patience.try_once(lambda: self._ledger.release(lease))
            log.info("%s: given back", label)
        elif evaluation.state == "lost":
            log.warning("%s: lost to another attempt, or the study was cancelled", label)
        else:
            crash_point("worker.evaluated")
            self._delivery.hand_over(lease, _outcome(evaluation, evaluation.state), evaluation.files)
            accuracy = evaluation.metrics.get("accuracy")
            figure = f", accuracy {accuracy:.4f}" if accuracy is not None else ""
            why = f" ({evaluation.reason})" if evaluation.reason else ""
            log.info("%s: %s%s%s", label, evaluation.state, figure, why)
        if evaluation.ends_study:
            reason = str(evaluation.reason)
            self._patience.try_once(lambda: self._ledger.give_up(attempt.study.id, reason))

    def _latency(
        self, architecture: Architecture, study: Study, trial: Trial, heartbeat: Heartbeat
    ) -> Measurement:
        if trial.latency is not None:
            # An earlier attempt has found it.
            return Measurement.model_validate(trial.latency)
        assert self._latencies is not None, "it is made on joining"
        return self._latencies.latency(
            architecture, study.spec, lambda: heartbeat.verdict in ("stop", "lost")
        )

    def _resources(self) -> Resources:
        latencies = self._latencies
        assert latencies is not None, "it is made on joining"
        return Resources(
            ledger=self._ledger,
            patience=self._patience,
            device=self._device,
            company=self._company,
            training_data=self._training_data,
            latency=latencies.latency,
        )

    def _training_data(self, study: Study) -> TrainingData:
        spec = study.spec
        key = (study.dataset_sha256, spec.training.validation_share, spec.search.seed)
        with self._loading:
            if key not in self._data:
                self._data[key] = self._loaded(study)
                _forget_oldest(self._data)
            return self._data[key]

    def _loaded(self, study: Study) -> TrainingData:
        path = self._patience.call(lambda: self._ledger.fetch_dataset(study.dataset_sha256))
        if path is None:
            raise Interrupted("stopped")
        spec = study.spec
        data = training_data(load_dataset(path), spec.training.validation_share, spec.search.seed)
        return resident(data, self._device)

    def _say_goodbye(self) -> None:
        self._patience.settle()
        self._patience.try_once(lambda: self._ledger.leave(self._worker_id))
        log.info("left")


def _outcome(evaluation: Evaluation, state: Literal["complete", "pruned", "infeasible", "failed"]) -> Outcome:
    return Outcome(
        report_id=uuid.uuid4().hex,
        state=state,
        reason=evaluation.reason,
        metrics=evaluation.metrics,
        violations=evaluation.violations,
        timings=evaluation.timings,
        latency=evaluation.latency,
        versions=versions(),
        error=evaluation.error,
        artifacts=hashes(evaluation.files),
    )


def _training_seed(study: Study, trial: Trial) -> int:
    """Return the seed of a trial's weights and batches: the same for every attempt at it."""
    return (study.spec.search.seed * 1_000_003 + trial.ordinal) % 2**31


def _forget_oldest(kept: dict[Key, Kept]) -> None:
    while len(kept) > KEPT_STUDIES:
        del kept[next(iter(kept))]
