"""The description of a study: one definition for YAML, JSON, flags, form and database column."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nas_service.devices import checked_device
from nas_service.metrics import METRICS, Goal
from nas_service.row_ids import MAX_ID

Name = Annotated[str, Field(min_length=1, max_length=200)]
SamplerName = Literal["auto", "random", "tpe", "nsga2", "nsga3", "gp"]
PRESETS = "presets"
StudyState = Literal["running", "paused", "draining", "finished", "cancelled", "failed"]
ACTIVE_STATES: frozenset[StudyState] = frozenset({"running", "paused", "draining"})


class Spec(BaseModel):
    """Base of every part of a spec: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; allowed: {', '.join(METRICS)}")
    return name


class Objective(Spec):
    """A metric to optimise; `goal` defaults to the metric's natural direction."""

    metric: str
    goal: Goal | None = None

    _metric = field_validator("metric")(_known_metric)

    @property
    def direction(self) -> Goal:
        return self.goal or METRICS[self.metric].goal


class Constraint(Spec):
    """Bounds on one metric; `at` chooses the statistic of a latency measurement.

    A candidate that breaks a limit is not trained, or, where only training can tell, stays off the front. A
    soft limit rejects nobody: who breaks it is trained, and stays off the front.
    """

    max: float | None = None
    min: float | None = None
    at: Literal["median", "p90", "p99"] = "median"
    soft: bool = False

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError("a constraint needs max or min")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min ({self.min}) must not exceed max ({self.max})")
        return self


def _known_limit(name: str, constraint: Constraint | None) -> None:
    _known_metric(name)
    if constraint is not None and constraint.soft and METRICS[name].kind == "quality":
        raise ValueError(
            f"{name} is known only after training, so that its limit rejects nobody as it is: leave out soft"
        )


def _known_start(start: object) -> object:
    is_study = isinstance(start, int) and not isinstance(start, bool) and 1 <= start <= MAX_ID
    if start == PRESETS or is_study or isinstance(start, dict):
        return start
    raise ValueError(
        f"must be {PRESETS!r}, the number of a study, or an architecture, not {str(start)[:60]!r}"
    )


class Search(Spec):
    """How candidates are proposed."""

    sampler: SamplerName = "auto"
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    # The control arm: this share of the trained candidates is drawn at random, unseen by the sampler.
    random_share: float = Field(default=0.0, ge=0.0, le=1.0)
    # Trained first, within the budget: "presets" of the space, fronts of other studies by their number, or
    # architectures.
    warm_start: tuple[Annotated[int | str | dict[str, Any], BeforeValidator(_known_start)], ...] = Field(
        default=(), max_length=100
    )
    # A run of this many proposals with nothing feasible among them ends the study.
    max_infeasible_in_a_row: int = Field(default=500, ge=1, le=100_000)


class Augmentation(Spec):
    """Batched augmentations, all off when zero; sizes in pixels, frames or samples."""

    crop_padding: int = Field(default=0, ge=0, le=16)
    # For images and volumes; brightness is in deviations of the normalised example.
    horizontal_flip: StrictBool = False
    brightness: float = Field(default=0.0, ge=0.0, le=1.0)
    contrast: float = Field(default=0.0, ge=0.0, le=1.0)
    cutout: int = Field(default=0, ge=0, le=256)
    # For spectrograms (channels, frequencies, frames): the widest mask, and how many of each kind.
    time_mask: int = Field(default=0, ge=0, le=1024)
    frequency_mask: int = Field(default=0, ge=0, le=1024)
    masks: int = Field(default=1, ge=1, le=8)
    # For signals: the furthest shift, and what comes in at the end that falls free.
    shift: int = Field(default=0, ge=0, le=65_536)
    shift_fill: Literal["circular", "zero"] = "circular"
    noise: float = Field(default=0.0, ge=0.0, le=1.0)

    def unfit_fields(self, axes: int) -> dict[str, tuple[int, ...]]:
        """Return the fields that are on and mean nothing to examples of so many spatial axes.

        Each comes with the numbers of axes that it is for.
        """
        return {
            name: allowed
            for name, allowed in AUGMENTATION_AXES.items()
            if getattr(self, name) and axes not in allowed
        }


# Numbers of spatial axes that an augmentation is for; those not listed are for all.
AUGMENTATION_AXES: dict[str, tuple[int, ...]] = {
    "horizontal_flip": (2, 3),
    "brightness": (2, 3),
    "contrast": (2, 3),
    "cutout": (2, 3),
    "time_mask": (2,),
    "frequency_mask": (2,),
    "shift": (1,),
}


class Recipe(Spec):
    """How a candidate is trained."""

    batch_size: int = Field(default=128, ge=1, le=8192)
    initialisation: Literal["he_normal", "xavier", "orthogonal"] = "he_normal"
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0.0, le=10.0)
    # Of SGD (Nesterov's) and RMSprop; the others have none.
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=5e-4, ge=0.0, le=1.0)
    # Shrink the weights themselves instead of adding to the gradient; AdamW always does.
    decoupled_weight_decay: StrictBool = False
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    loss: Literal["cross_entropy", "binary_cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = Field(default=2.0, ge=0.0, le=10.0)
    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    # In front of the last dense layer, on top of what the architecture's own head asks for.
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    normalisation: Literal["dataset", "example"] = "dataset"
    augmentation: Augmentation = Augmentation()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    # Keep the maps between stages only and compute the others again: less memory, equal results, slower.
    checkpointing: StrictBool = False
    # Bit-equal results for equal seeds on one machine, at some cost in speed.
    deterministic: StrictBool = False


class Training(Spec):
    """Epochs, early stopping, split and recipe of every candidate."""

    epochs: int = Field(default=27, ge=1, le=10_000)
    early_stopping: Literal["pareto", "none"] = "pareto"
    # Asynchronous successive halving: rungs at 1, eta, eta^2, ... epochs, up to half of all, keep the best
    # 1/eta.
    reduction_factor: int = Field(default=3, ge=2, le=10)
    validation_share: float = Field(default=1 / 6, gt=0.0, lt=1.0)
    # A candidate whose loss becomes infinite fails, or ends as pruned with the worst value of each quality.
    divergence: Literal["fail", "worst"] = "fail"
    recipe: Recipe = Recipe()

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which a candidate may be stopped; empty without early stopping.

        There is none beyond half-way: it would throw more training away than it spares.
        """
        if self.early_stopping == "none":
            return ()
        rungs, epoch = [], 1
        while 2 * epoch <= self.epochs:
            rungs.append(epoch)
            epoch *= self.reduction_factor
        return tuple(rungs)


class Stall(Spec):
    """When a search no longer pays: the last `trials` trained candidates added too little hypervolume."""

    trials: int = Field(ge=1, le=1_000_000)
    # The share of the hypervolume that they must have added: 0.01 is one per cent.
    gain: float = Field(default=0.01, ge=0.0, le=1.0)


class Budget(Spec):
    """When the search ends; the first bound that is reached ends it.

    `trials` counts trained candidates, `minutes` wall-clock time, and `epochs` what candidates trained: one
    starts only if all its epochs still fit, and gives back what it was stopped before.
    """

    trials: int | None = Field(default=100, ge=1, le=1_000_000)
    minutes: float | None = Field(default=None, gt=0.0)
    epochs: int | None = Field(default=None, ge=1, le=1_000_000_000)
    stall: Stall | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.trials is None and self.minutes is None and self.epochs is None:
            raise ValueError("a budget needs trials, minutes or epochs")
        return self


class Confirm(Spec):
    """What of a front is trained again from scratch, with several seeds, and measured on the test part."""

    # So many members of the front, those that together cover most of it; all of them where it is None.
    top: int | None = Field(default=5, ge=1, le=100)
    seeds: int = Field(default=3, ge=1, le=20)
    # As many as a candidate of the study trains where it is None.
    epochs: int | None = Field(default=None, ge=1, le=10_000)
    # What is trained on; the test part is never among it.
    data: Literal["train_and_validation", "train"] = "train_and_validation"


class StudySpec(Spec):
    """Everything a search needs; the same fields in YAML, JSON, flags and form."""

    name: Name = "search"
    dataset: Name
    # A family's name, {"family": name, "override": {...}}, or an inline space.
    space: str | dict[str, Any] = "multi_scale"
    objectives: tuple[Objective, ...] = (Objective(metric="accuracy"), Objective(metric="latency_ms"))
    constraints: dict[str, Constraint] = {}
    # Where latency counts: "cpu", "cpu-torch", "cuda", or a device that a worker was started on by name.
    device: str = "cpu"
    search: Search = Search()
    training: Training = Training()
    budget: Budget = Budget()
    # What is confirmed once the study has finished: nothing unless asked, for it trains beyond the budget.
    confirm: Confirm | None = None

    _device = field_validator("device")(checked_device)

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        names = [objective.metric for objective in objectives]
        if not 1 <= len(names) <= 4:
            raise ValueError(f"a study has 1 to 4 objectives, not {len(names)}")
        if len(set(names)) != len(names):
            raise ValueError(f"objectives must differ: {', '.join(names)}")
        return objectives

    @field_validator("constraints")
    @classmethod
    def _known(cls, constraints: dict[str, Constraint]) -> dict[str, Constraint]:
        for name, constraint in constraints.items():
            _known_limit(name, constraint)
        return constraints

    @field_validator("budget")
    @classmethod
    def _holds_a_candidate(cls, budget: Budget, info: ValidationInfo) -> Budget:
        training = info.data.get("training")
        if training is not None and budget.epochs is not None and budget.epochs < training.epochs:
            raise ValueError(
                f"epochs ({budget.epochs}) must be at least those of one candidate, training.epochs "
                f"({training.epochs})"
            )
        return budget

    @property
    def needs_latency(self) -> bool:
        """Whether an objective or a constraint reads a measured latency."""
        names = {objective.metric for objective in self.objectives} | self.constraints.keys()
        return any(METRICS[name].kind == "latency" for name in names)

    @property
    def latency_device(self) -> str | None:
        """Where latency is measured; None where no figure needs it."""
        return self.device if self.needs_latency else None


class BudgetChange(Spec):
    """Bounds of a budget that are to be others; those that are not named stay."""

    trials: int | None = Field(default=None, ge=1, le=1_000_000)
    minutes: float | None = Field(default=None, gt=0.0)
    epochs: int | None = Field(default=None, ge=1, le=1_000_000_000)
    stall: Stall | None = None


class StudyChange(Spec):
    """What may be changed of a study that exists; what is not named stays."""

    space: str | dict[str, Any] | None = None
    name: Name | None = None
    budget: BudgetChange | None = None
    # By metric: another limit, or null for none; limits that are not named stay.
    constraints: dict[str, Constraint | None] | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_dump(exclude_none=True) and not self.constraints:
            raise ValueError("name what is to change: space, name, budget or constraints")
        return self

    @field_validator("constraints")
    @classmethod
    def _known(cls, constraints: dict[str, Constraint | None] | None) -> dict[str, Constraint | None] | None:
        for name, constraint in (constraints or {}).items():
            _known_limit(name, constraint)
        return constraints

    def constraints_of(self, constraints: Mapping[str, Constraint]) -> dict[str, Constraint]:
        """Return the limits after the change."""
        merged = {**constraints, **(self.constraints or {})}
        return {name: limit for name, limit in merged.items() if limit is not None}

    def budget_of(self, budget: Budget) -> Budget:
        """Return the budget after the change; raises pydantic's error where no bound would be left."""
        named = self.budget.model_dump(exclude_unset=True) if self.budget else {}
        return Budget.model_validate({**budget.model_dump(), **named})
