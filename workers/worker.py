"""The worker's loop: take over an orphan or propose, evaluate, report."""

import logging
import threading
import uuid
from pathlib import Path
from typing import Literal, TypeVar

import torch

from nas_service.crash_points import crash_point
from nas_service.datasets import load_dataset
from nas_service.errors import InvalidInput
from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerRefused, LedgerUnavailable
from nas_service.measurements import Measurement
from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Study, Trial, Work, WorkerInfo
from search_spaces import Architecture
from workers.company import Company
from workers.crew import run_together
from workers.data.arrays import TrainingData, training_data
from workers.devices import CPU, own_stream, resident
from workers.evaluation import Evaluation, evaluate
from workers.heartbeat import Heartbeat
from workers.latency.predictions import Predictions
from workers.latency.source import LatencySource
from workers.noise import Noise
from workers.patience import Patience
from workers.prediction import LatencyPredictor
from workers.proposer import Proposer
from workers.spool import Spool
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
        spool_folder: Where undelivered results wait.
        study_id: The only study to work on.
        until_finished: End when that study has.
        noise: Whether this machine is quiet enough for latencies; taken for quiet where nobody looks.
        device: Where candidates train; a CPU without it.
        at_once: How many candidates, each in a thread; fewer when they turn out not to fit together.
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
    ) -> None:
        self._ledger = ledger
        self._information = information
        self._study_id = study_id
        self._until_finished = until_finished
        self._spool = Spool(spool_folder)
        self._noise = noise
        self._patience = Patience()
        self._proposers: dict[int, Proposer] = {}
        self._data: dict[tuple[str, float, int], TrainingData] = {}
        self._latencies: LatencySource | None = None
        self._device = device
        self._company = Company(at_once)
        # For what the threads share: the ledger's next work, the samplers, the data sets, the spool.
        self._asking, self._proposing, self._loading, self._delivering = (threading.Lock() for _ in range(4))
        # Threads that have work, and may hold a lease.
        self._busy = 0
        self._worker_id = 0
        self._heartbeat_s = 15.0

    def end(self) -> None:
        """Ask the loop to end after the present epoch; its trial is given back."""
        self._patience.ends.set()

    def end_on_signals(self) -> None:
        """End on the first SIGTERM or SIGINT, at once on the second."""
        self._patience.end_on_signals("epoch")

    def run(self) -> None:
        """Work until told to end; raises `LedgerRefused` if the service does not want this worker."""
        if not self._join():
            return
        log.info("joined as %s (%d)", self._information.name, self._worker_id)
        crash_point("worker.joined")
        run_together(self._work, self._company.places, on_error=self.end)
        self._say_goodbye()

    def _work(self, place: int) -> None:
        while not self._patience.ends.is_set() and place < self._company.places:
            self._deliver_leftovers()
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
        label = f"study {study.id} trial {trial.number}"
        log.info("%s: attempt %d", label, lease.attempt)
        crash_point("worker.trial_held")
        with Heartbeat(self._ledger, lease, self._heartbeat_s) as heartbeat, own_stream(self._device):
            evaluation = evaluate(
                trial.architecture,
                study.spec,
                lambda: self._training_data(study),
                seed=_training_seed(study, trial),
                on_epoch=lambda report: self._tell(lease, report, heartbeat),
                latency=lambda architecture: self._latency(architecture, study, heartbeat),
                company=self._company,
            )
        if evaluation.state == "stopped":
            self._patience.try_once(lambda: self._ledger.release(lease))
            log.info("%s: given back", label)
        elif evaluation.state == "lost":
            log.warning("%s: lost to another attempt, or the study was cancelled", label)
        else:
            self._finish(lease, evaluation, evaluation.state, label)
        if evaluation.ends_study:
            self._patience.try_once(lambda: self._ledger.give_up(study.id, str(evaluation.reason)))

    def _latency(self, architecture: Architecture, study: Study, heartbeat: Heartbeat) -> Measurement:
        assert self._latencies is not None, "it is made on joining"
        return self._latencies.latency(
            architecture, study.spec, lambda: heartbeat.verdict in ("stop", "lost")
        )

    def _tell(self, lease: Lease, report: EpochReport, heartbeat: Heartbeat) -> Instruction:
        """Report an epoch; a ledger that is away does not hold training up."""
        if self._patience.ends.is_set():
            return "stop"
        try:
            answer = self._ledger.report(lease, report)
            crash_point("worker.epoch_reported")
        except LedgerUnavailable:
            return heartbeat.verdict
        except LeaseLost:
            return "lost"
        # A cancelled study has ended its trials itself: nothing is given back.
        return "lost" if answer == "stop" else answer

    def _finish(
        self,
        lease: Lease,
        evaluation: Evaluation,
        state: Literal["complete", "pruned", "infeasible", "failed"],
        label: str,
    ) -> None:
        crash_point("worker.evaluated")
        artifacts = {kind: self._stored(content) for kind, content in evaluation.files.items()}
        crash_point("worker.artifacts_stored")
        outcome = Outcome(
            report_id=uuid.uuid4().hex,
            state=state,
            reason=evaluation.reason,
            metrics=evaluation.metrics,
            violations=evaluation.violations,
            timings=evaluation.timings,
            latency=evaluation.latency,
            versions=versions(),
            error=evaluation.error,
            artifacts=artifacts,
        )
        self._spool.put(lease, outcome)
        with self._delivering:
            self._deliver(lease, outcome)
        accuracy = evaluation.metrics.get("accuracy")
        figure = f", accuracy {accuracy:.4f}" if accuracy is not None else ""
        log.info("%s: %s%s%s", label, state, figure, f" ({evaluation.reason})" if evaluation.reason else "")

    def _stored(self, content: bytes) -> str:
        stored = self._patience.call(lambda: self._ledger.put_artifact(content), even_at_end=True)
        assert stored is not None
        return stored

    def _deliver(self, lease: Lease, outcome: Outcome) -> None:
        """Hand a result over; it stays in the spool until the ledger has answered."""
        try:
            self._patience.call(lambda: self._ledger.complete(lease, outcome), even_at_end=True)
        except (LeaseLost, LedgerRefused) as error:
            log.warning("the result of trial %d is not wanted: %s", lease.trial_id, error)
        except LedgerUnavailable:
            return
        crash_point("worker.delivered")
        self._spool.remove(lease)

    def _deliver_leftovers(self) -> None:
        with self._delivering:
            for lease, outcome in self._spool.waiting():
                self._deliver(lease, outcome)

    def _training_data(self, study: Study) -> TrainingData:
        spec = study.spec
        key = (study.dataset_sha256, spec.training.validation_share, spec.search.seed)
        with self._loading:
            if key not in self._data:
                self._data[key] = self._loaded(study)
                _forget_oldest(self._data)
            return self._data[key]

    def _loaded(self, study: Study) -> TrainingData:
        path = self._patience.call(lambda: self._ledger.fetch_dataset(study.dataset_sha256), even_at_end=True)
        if path is None:
            raise InvalidInput
        spec = study.spec
        data = training_data(load_dataset(path), spec.training.validation_share, spec.search.seed)
        return resident(data, self._device)

    def _say_goodbye(self) -> None:
        self._patience.try_once(lambda: self._ledger.leave(self._worker_id))
        log.info("left")


def _training_seed(study: Study, trial: Trial) -> int:
    """Return the seed of a trial's weights and batches: the same for every attempt at it."""
    return (study.spec.search.seed * 1_000_003 + trial.ordinal) % 2**31


def _forget_oldest(kept: dict[Key, Kept]) -> None:
    while len(kept) > KEPT_STUDIES:
        del kept[next(iter(kept))]
