"""Trials and what workers and ledger say to each other about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator

from nas_service.devices import checked_device, checked_remote
from nas_service.studies import StudySpec, StudyState

TrialState = Literal["waiting", "running", "complete", "pruned", "infeasible", "failed"]
TERMINAL_STATES: frozenset[TrialState] = frozenset({"complete", "pruned", "infeasible", "failed"})
# The states whose trials were trained and therefore use up the budget.
TRAINED_STATES: frozenset[TrialState] = frozenset({"complete", "pruned", "failed"})
# Who chose a trial's architecture: the sampler, the control arm that draws at random, or a person.
Arm = Literal["search", "random", "enqueued"]
# Under this name of its attributes a trial says how many candidates the sampler has left out before it
# proposed this one, by the limit or rule that they break.
LEFT_OUT = "left_out"
# A trial whose worker vanished this many times is failed.
MAX_ATTEMPTS = 3
# Far beyond what a spec allows.
MAX_EPOCH = 1_000_000


class Value(BaseModel):
    """Base of the values that cross the ledger: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Proposal(Value):
    """A candidate as the sampler proposed it, before it has a row."""

    params: dict[str, Any]
    # One of Optuna's JSON forms a parameter; opaque to the service.
    distributions: dict[str, str]
    # What the sampler wants to find on the trial again (NSGA-II's generation).
    attributes: dict[str, Any] = {}
    architecture: dict[str, Any]
    architecture_hash: str
    # Exact figures from the description: params, macs, model_bytes, peak_activation_bytes.
    costs: dict[str, StrictFloat]
    # By constrained metric: relative violation, at most 0 where the limit is kept.
    violations: dict[str, StrictFloat] = {}
    # The rule of the space that forbids it, in words; such a proposal never becomes a trial.
    forbidden: str | None = None
    # The version of the study's space that drew it; one of an earlier version is refused.
    space_version: StrictInt = 1
    arm: Arm = "search"
    seed: StrictInt = 0
    proposal_s: StrictFloat = 0.0

    @property
    def is_feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations.values())


class Checkpoint(Value):
    """A stored file from which a trial's training can go on behind an epoch."""

    epoch: StrictInt = Field(ge=1, le=MAX_EPOCH)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Trial(Value):
    """One candidate's evaluation: a row of the ledger."""

    id: int
    study_id: int
    # Position among the study's trials, without holes.
    number: int
    # Position among all proposals of the study, repeats counted; what samplers know the trial by.
    ordinal: int
    state: TrialState
    reason: str | None = None
    # The version of the space that drew it; None for an architecture that a person enqueued.
    space_version: int | None = None
    arm: Arm = "search"
    # Why it counts neither for the front nor for ranks and samplers; None where it does.
    excluded: str | None = None
    params: dict[str, Any] = {}
    distributions: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    architecture: dict[str, Any]
    architecture_hash: str
    # Every figure known so far: exact costs, latency, best validation metrics.
    metrics: dict[str, float] = {}
    violations: dict[str, float] = {}
    timings: dict[str, float] = {}
    latency: dict[str, Any] | None = None
    seed: int = 0
    attempt: int = 0
    worker: str | None = None
    versions: dict[str, str] = {}
    error: str | None = None
    # sha256 by kind: "weights" (safetensors), "architecture" and "evaluation" (both JSON).
    artifacts: dict[str, str] = {}
    # Of an unfinished trial: where training can go on, the newest first; another in case that one is damaged.
    checkpoints: tuple[Checkpoint, ...] = ()
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_feasible(self) -> bool:
        return all(violation <= 0 for violation in self.violations.values())

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint."""
        return self.checkpoints[0] if self.checkpoints else None

    @property
    def predicted_metrics(self) -> list[str]:
        """Return the metrics whose values were predicted, not measured."""
        return predicted_metrics(self.latency)


def predicted_metrics(latency: Mapping[str, Any] | None) -> list[str]:
    """Return the metrics that a trial's latency record says were predicted, not measured."""
    return ["latency_ms"] if latency and latency.get("is_predicted") else []


def latency_interval(latency: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return the ends of the 95 % interval of a trial's latency in milliseconds, None where it has none."""
    if not latency or "low_ms" not in latency or "high_ms" not in latency:
        return None
    return float(latency["low_ms"]), float(latency["high_ms"])


class Repeat(Value):
    """A proposal whose architecture the study already knew: answered from `trial_id`, never trained."""

    ordinal: int
    trial_id: int
    space_version: int = 1
    params: dict[str, Any]
    distributions: dict[str, str]
    attributes: dict[str, Any] = {}


class Forbidden(Value):
    """A proposal that a rule of the space forbids: kept for the samplers alone, never a trial."""

    ordinal: int
    space_version: int = 1
    params: dict[str, Any]
    distributions: dict[str, str]
    attributes: dict[str, Any] = {}
    # The rule in words.
    rule: str


class Study(Value):
    """A study as workers see it."""

    id: int
    spec: StudySpec
    # Of the space in `spec`, from 1.
    space_version: int = 1
    state: StudyState
    # sha256 of the data set's canonical file, pinned at launch.
    dataset_sha256: str
    input_shape: tuple[int, ...]
    classes: int


class Lease(Value):
    """The right to write one trial: every write is guarded by `attempt`, so a late one changes nothing."""

    trial_id: StrictInt
    attempt: StrictInt
    worker_id: StrictInt


class WorkerInfo(Value):
    """What a worker says of itself when it joins."""

    name: str = Field(min_length=1, max_length=200)
    host: str
    pid: StrictInt
    # What it measures latency on: "cpu", "cuda" (which has a cpu too), or the name of a device.
    device: str = Field(default="cpu", max_length=63)
    versions: dict[str, str] = {}
    # It serves its device's requests alone, and neither proposes nor trains.
    measures_only: StrictBool = False
    # Why its machine is too noisy for latencies to be believed; None where it is quiet.
    noise: str | None = Field(default=None, max_length=500)

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        (checked_remote if self.measures_only else checked_device)(self.device)
        return self


class Registration(Value):
    """The ledger's answer to a worker that joins."""

    worker_id: int
    heartbeat_s: float
    lease_s: float


class Changes(Value):
    """Everything of one study that changed after a revision, in order of ordinal."""

    revision: int
    trials: list[Trial]
    repeats: list[Repeat]
    forbidden: list[Forbidden] = []
    # What samplers keep on the study (NSGA-II's parents by generation); the first writer of a key wins.
    attributes: dict[str, Any] = {}
    # By trial, accuracy by the rung behind which it was found, of those that ended; only where samplers ask.
    rungs: dict[int, dict[int, float]] = {}
    # Every version of the space by its number; only with everything (after revision 0), if there are several.
    spaces: dict[int, Any] = {}


class Reservation(Value):
    """The answer to proposals, in their order.

    A feasible, new proposal becomes a `running` trial with a lease while the budget lasts; an infeasible
    one a finished row; a repeat an entry of `repeats`, and one that the space forbids an entry of
    `forbidden`. What no longer fits the budget, or comes from an earlier version of the space, is refused
    and leaves no row.
    """

    trials: list[Trial]
    leases: list[Lease]
    repeats: list[Repeat]
    forbidden: list[Forbidden] = []
    refused: int = 0
    # Infeasible, forbidden or repeated proposals since the last feasible new one.
    fruitless_in_a_row: int = 0


Instruction = Literal["continue", "prune", "stop", "lost"]


class EpochReport(Value):
    """Figures of one epoch; finite numbers only, a diverged loss is None."""

    epoch: StrictInt = Field(ge=1, le=MAX_EPOCH)
    train_loss: StrictFloat | None = None
    validation_loss: StrictFloat | None = None
    accuracy: StrictFloat | None = None
    seconds: StrictFloat = 0.0
    # What is known of the trial by now beside its exact costs: its measured latency.
    metrics: dict[str, StrictFloat] = {}
    # With the first epoch of an attempt: its `Measurement` as plain data, where latency is needed.
    latency: dict[str, Any] | None = None
    # With the first epoch of an attempt that went on from a checkpoint: the last epoch before it.
    resumed_from: StrictInt | None = Field(default=None, ge=1, le=MAX_EPOCH)


class Outcome(Value):
    """How an attempt ended; `report_id` makes the report idempotent."""

    report_id: str = Field(min_length=8, max_length=64)
    state: Literal["complete", "pruned", "infeasible", "failed"]
    reason: str | None = None
    metrics: dict[str, StrictFloat] = {}
    violations: dict[str, StrictFloat] = {}
    timings: dict[str, StrictFloat] = {}
    latency: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    error: str | None = None
    artifacts: dict[str, str] = {}

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.state in ("infeasible", "failed") and not (self.reason or self.error):
            raise ValueError(f"a {self.state} outcome needs a reason or an error")
        return self
