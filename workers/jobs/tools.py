"""What the handler of a job works with, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import torch

from nas_service.datasets import Dataset, load_dataset
from nas_service.jobs import JobLease, JobReport
from nas_service.ledger.protocol import Ledger, LedgerUnavailable
from nas_service.measurements import Measurement
from nas_service.studies import StudySpec
from nas_service.trials import Instruction, Study, Trial
from search_spaces import Architecture
from workers.company import Company
from workers.data.arrays import TrainingData
from workers.delivery import hashes
from workers.heartbeat import Heartbeat
from workers.interruption import Interrupted
from workers.patience import Patience

Answer = TypeVar("Answer")
# Progress that keeps nothing is told no more often.
TOLD_EVERY_S = 0.5


class JobFailed(Exception):
    """The job cannot be done; the message is what a person reads."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job found, as plain data, and its files by name."""

    result: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a worker has for trials, and lends to jobs."""

    ledger: Ledger
    patience: Patience
    device: torch.device
    company: Company
    # The training and validation parts of a study's data, on the device; kept for the next one who asks.
    training_data: Callable[[Study], TrainingData]
    # A network's latency for a study; the last argument says whether nobody waits for it any more.
    latency: Callable[[Architecture, StudySpec, Callable[[], bool]], Measurement]


class Tools:
    """Everything that a handler may need of the worker and the service.

    Args:
        resources: Of the worker.
        lease: Under which the job runs.
        heartbeat: Of the lease.
        study: Whose job it is.
        trial: The trial that it is about, if it is about one.
    """

    def __init__(
        self,
        resources: Resources,
        lease: JobLease,
        heartbeat: Heartbeat,
        *,
        study: Study,
        trial: Trial | None,
    ) -> None:
        self.study, self.trial = study, trial
        self.ledger, self.device, self.company = resources.ledger, resources.device, resources.company
        self._resources, self._lease, self._heartbeat = resources, lease, heartbeat
        self._told_at = 0.0

    def progress(
        self,
        share: float,
        note: str = "",
        *,
        result: dict[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Tell how far the job is; a ledger that is away holds nothing up.

        Args:
            share: Of the whole, 0 to 1.
            note: What it is at, in words.
            result: What was found so far; the next attempt finds it in `job.result`.
            files: All files so far; the next attempt finds them in `job.artifacts`.

        Raises:
            Interrupted: As in `check`.
        """
        self.check()
        keeps = result is not None or files is not None
        if not keeps and monotonic() - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = monotonic()
        if self._tell(share, note, result, files) in ("stop", "lost"):
            raise Interrupted("lost")

    def check(self) -> None:
        """Raise `Interrupted` when the job was cancelled or lost, or when the worker is told to end."""
        if self._heartbeat.verdict in ("stop", "lost"):
            raise Interrupted("lost")
        if self._resources.patience.ends.is_set():
            raise Interrupted("stopped")

    def fetch(self, sha256: str) -> bytes:
        """Return a file of the trial, one that the payload names, or one that was kept before."""
        return self._called(lambda: self.ledger.fetch_artifact(sha256)).read_bytes()

    def dataset(self, sha256: str | None = None, called: str | None = None) -> Dataset:
        """Return a whole data set with its test part; the study's own where none is named."""
        wanted = sha256 or self.study.dataset_sha256
        name = self.study.spec.dataset if wanted == self.study.dataset_sha256 else called or wanted[:12]
        return load_dataset(self._dataset_path(wanted), name)

    def training_data(self, study: Study | None = None) -> TrainingData:
        """Return the training and validation parts of a study's data, on the worker's device."""
        return self._resources.training_data(study or self.study)

    def latency(self, architecture: Architecture, spec: StudySpec) -> Measurement:
        """Return a network's latency as a trial of the study finds it."""
        is_over = self._resources.patience.ends.is_set
        return self._resources.latency(
            architecture, spec, lambda: is_over() or self._heartbeat.verdict in ("stop", "lost")
        )

    def _tell(
        self, share: float, note: str, result: dict[str, Any] | None, files: Mapping[str, bytes] | None
    ) -> Instruction:
        try:
            for content in (files or {}).values():
                self.ledger.put_artifact(content)
            report = JobReport(
                progress=min(1.0, max(0.0, share)),
                note=note or None,
                result=result,
                artifacts=None if files is None else hashes(files),
            )
            return self.ledger.report_job(self._lease, report)
        except LedgerUnavailable:
            return "continue"

    def _dataset_path(self, sha256: str) -> Path:
        return self._called(lambda: self.ledger.fetch_dataset(sha256))

    def _called(self, call: Callable[[], Answer]) -> Answer:
        answer = self._resources.patience.call(call)
        if answer is None:
            raise Interrupted("stopped")
        return answer
