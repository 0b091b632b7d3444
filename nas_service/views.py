"""What the service shows: the shapes of REST answers, of `--json` and of the client's return values."""

from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from nas_service.devices import is_local
from nas_service.evaluation import EvaluationDetails
from nas_service.frames import frame, html_table
from nas_service.jobs import Job
from nas_service.studies import StudySpec, StudyState
from nas_service.trials import Arm, Trial, TrialState

Item = TypeVar("Item")
FrontForm = Literal["searched", "confirmed"]
WorkerState = Literal["idle", "running", "draining", "stopped", "lost"]


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class TrialCounts(View):
    """Trials by state, and what never became one.

    Repeats are proposals that were answered from a known result, forbidden ones broke a rule of the space.
    """

    waiting: int = 0
    running: int = 0
    complete: int = 0
    pruned: int = 0
    infeasible: int = 0
    failed: int = 0
    repeats: int = 0
    forbidden: int = 0

    @property
    def trained(self) -> int:
        """What the budget counts."""
        return self.complete + self.pruned + self.failed


class StudyView(View):
    """A study: what was asked (`spec`) and how it stands."""

    study: int
    name: str
    state: StudyState
    # Why it is in this state, or what it waits for, in words.
    reason: str
    trials: TrialCounts
    budget_trials: int | None
    budget_epochs: int | None = None
    # What ended trials have trained; an epoch that a crash made necessary again counts once.
    epochs_spent: int = 0
    elapsed_s: float
    # Rises with every change; use it to ask whether anything is new.
    sequence: int
    created_at: datetime
    finished_at: datetime | None
    dataset_sha256: str
    # Of the space in `spec`; `GET /studies/{id}/spaces` lists the earlier ones.
    space_version: int = 1
    spec: StudySpec


class SpaceVersion(View):
    """One version of a study's space."""

    version: int
    space: Any
    created_at: datetime


class Confirmed(View):
    """Figures on the test part, of networks trained anew with several seeds.

    The search has never looked at that part, so these are free of what choosing the best by validation adds.
    """

    runs: int
    # Of every quality, over the runs.
    mean: dict[str, float]
    # The sample standard deviation over the runs; empty for a single one.
    deviation: dict[str, float]
    # By how much the search's own figure of the first quality is better than the mean; negative where worse.
    optimism: float | None


class FrontMember(View):
    """A non-dominated, feasible, completely trained trial."""

    trial: int
    number: int
    # Every metric known of the trial, the objectives among them.
    values: dict[str, float]
    architecture: dict[str, Any]
    architecture_hash: str
    # The network in one line.
    summary: str = ""
    # Metrics whose values were predicted, not measured.
    predicted: list[str] = []
    # By which part of each limit's bound its figure is off: at most 0, and the less the more is to spare.
    violations: dict[str, float] = {}
    # Ends of the 95 % interval of its latency; None where nothing was measured or predicted.
    latency_interval_ms: tuple[float, float] | None = None
    # None where nothing was confirmed.
    confirmed: Confirmed | None = None


class HypervolumePoint(View):
    """Hypervolume of the front after `trials` complete, feasible trials."""

    trials: int
    hypervolume: float


class FrontView(View):
    """The Pareto front over the study's objectives."""

    study: int
    # By validation, as the search knows it; or by means on the test part, of what was confirmed.
    form: FrontForm = "searched"
    objectives: list[dict[str, str]]
    reference_point: list[float]
    hypervolume: float
    front: list[FrontMember]
    # A step function: where it changes, and at the newest trial.
    hypervolume_history: list[HypervolumePoint]

    @cached_property
    def trials(self) -> frozenset[int]:
        """The ids of the trials on the front."""
        return frozenset(member.trial for member in self.front)

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat mapping for each member: trial, number, every figure known, network, hash."""
        return [
            {
                "trial": member.trial,
                "number": member.number,
                **member.values,
                "network": member.summary,
                "architecture_hash": member.architecture_hash,
            }
            for member in self.front
        ]

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, a row a member; raises `MissingPackage` without pandas."""
        return frame(self.rows(), index="number")

    def _repr_html_(self) -> str:
        """Return a table for a notebook: the objectives first."""
        asked = [objective["metric"] for objective in self.objectives]
        return html_table(
            self.rows(), ["number", *dict.fromkeys([*asked, "accuracy", "params", "latency_ms"]), "network"]
        )


class StudyResult(StudyView):
    """A study with its front: what `nas search --json` prints."""

    front: list[FrontMember]
    # How many candidates the sampler `auto` left out before it proposed others, by the limit (its metric) or
    # the rule that they break; one that breaks two counts for both.
    left_out: dict[str, int] = {}


class TrialSummary(View):
    """A trial in a list: everything but the architecture's and sampler's details."""

    id: int
    study_id: int
    number: int
    state: TrialState
    reason: str | None
    space_version: int | None = None
    # Who chose the architecture: the sampler, the control arm, or a person.
    arm: Arm = "search"
    # Why it counts neither for the front nor for ranks and samplers; None where it does.
    excluded: str | None = None
    metrics: dict[str, float]
    violations: dict[str, float]
    is_on_front: bool
    summary: str
    # Metrics whose values were predicted, not measured.
    predicted: list[str] = []
    worker: str | None
    attempt: int
    finished_at: datetime | None


class TrialSpan(View):
    """When a worker held a trial, by its last attempt."""

    id: int
    number: int
    state: TrialState
    worker: str
    attempt: int
    started_at: datetime
    # None while it runs.
    finished_at: datetime | None


class TrialView(Trial):
    """A trial in full."""

    is_on_front: bool = False
    # Metrics whose values were predicted, not measured.
    predicted: list[str] = Field(default_factory=list)


class CurvePoint(View):
    """One epoch of a learning curve."""

    epoch: int
    attempt: int
    train_loss: float | None
    validation_loss: float | None
    accuracy: float | None
    seconds: float


class JobView(Job):
    """A job; `reason` also says what a waiting one waits for."""


class EvaluationView(EvaluationDetails):
    """How a trial's network answers on the validation part, class by class."""

    model_config = ConfigDict(extra="ignore")

    trial: int
    dataset: str
    # By class number.
    class_names: tuple[str, ...]


class Rival(View):
    """A trial that was as good as another at a rung in all objectives, and better in one."""

    trial: int
    number: int
    # What was compared, by metric; qualities are those of the rung's epoch.
    figures: dict[str, float]


class RungPlace(View):
    """Where a trial stood among all that had reached a rung when it was decided on."""

    epoch: int
    reached: int
    # From 1.
    place: int
    # So many went on past the rung, and the most accurate anyway; all, while most are hardly better than
    # guessing.
    kept: int
    # Some of those that are better in every respect.
    ahead: tuple[Rival, ...]


class DatasetView(View):
    """A registered data set."""

    name: str
    sha256: str
    input_shape: tuple[int, ...]
    classes: int
    class_names: list[str]
    train_examples: int
    test_examples: int
    created_at: datetime


class DatasetUse(View):
    """A study that searches a data set."""

    study: int
    name: str
    state: StudyState


class WorkerView(View):
    """A worker process and whether it is alive."""

    id: int
    name: str
    host: str
    pid: int
    device: str
    state: WorkerState
    trial: int | None
    # The job that it does.
    job: int | None = None
    heartbeat_at: datetime
    started_at: datetime
    versions: dict[str, str]
    # It serves its device's requests alone, and neither proposes nor trains.
    measures_only: bool = False
    # Why its machine is too noisy to measure latency; None where it is quiet.
    noise: str | None = None

    @property
    def is_alive(self) -> bool:
        return self.state in ("idle", "running", "draining")

    @property
    def note(self) -> str:
        """What is special about it, in words."""
        parts = ["measures only"] if self.measures_only else []
        return "; ".join([*parts, f"too noisy to measure latency: {self.noise}"] if self.noise else parts)

    def measures_on(self, device: str) -> bool:
        """Whether latency on a device is this worker's to measure, were its machine quiet."""
        if self.measures_only or not is_local(device):
            return self.measures_only and self.device == device
        return device != "cuda" or self.device.startswith("cuda")


class DeviceView(View):
    """Where latency was, or is to be, measured."""

    name: str
    # Each with its version, of the stored measurements.
    runtimes: list[str]
    measurements: int
    # Networks that wait for their measurement.
    waiting: int
    workers_alive: int
    # Why a living worker does not measure: its machine is too noisy.
    noise: str | None = None


class FamilyView(View):
    """A family of architectures: its search space as data."""

    name: str
    summary: str
    source: str
    # Combinations of its parameters; fewer networks, for some describe the same one.
    combinations: int
    space: dict[str, Any]


class EventView(View):
    """One entry of the append-only event list."""

    sequence: int
    study_id: int | None
    kind: str
    at: datetime
    data: dict[str, Any]


class LimitHint(View):
    """What a space would hold if one limit were another one and all else stayed as it is."""

    metric: str
    max: float
    feasible_share: float


class Preflight(View):
    """What is known of a study before any training."""

    sampled: int
    distinct: int
    # Combinations of the space's parameters; fewer networks, for some describe the same one.
    combinations: int = 0
    # The share of samples that no rule of the space forbids and that keep every limit that is not soft.
    feasible_share: float
    # The share of samples that a rule of the space forbids.
    forbidden_share: float = 0.0
    # By constrained metric: the share of samples that break it; latency is not known yet.
    broken_share: dict[str, float]
    # The same of soft limits, which reject nobody.
    soft_share: dict[str, float] = {}
    # The limit that rejects most, in words; None where nothing is rejected.
    binding: str | None
    # Why a launch is refused: nothing was found that keeps the limits on size. None where it is not.
    refusal: str | None = None
    # Other bounds for the limits that are exact before training.
    hints: list[LimitHint] = []
    smallest: dict[str, float]
    largest: dict[str, float]
    smallest_feasible: dict[str, float] | None
    largest_feasible: dict[str, float] | None
    estimated_minutes: float | None
    # How the estimate came about, in words.
    estimate_basis: str


class Page(View, Generic[Item]):
    """One page of a listing; `next_page_token` is None on the last."""

    items: list[Item]
    next_page_token: str | None = None
