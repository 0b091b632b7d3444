"""What is asked of a confirmation and of a final training, and how a confirmation is shown."""

from typing import Annotated, Any, Literal

from pydantic import Field

from nas_service.jobs import JobState
from nas_service.row_ids import MAX_ID
from nas_service.studies import Confirm, Spec
from nas_service.views import Confirmed, View

FinalPart = Literal["train_and_validation", "train"]


class ConfirmRequest(Confirm):
    """As a spec's `confirm`; or certain trials instead of the best of the front."""

    # Numbers of complete trials; those of the front that `top` picks where it is empty.
    trials: tuple[Annotated[int, Field(ge=0, le=MAX_ID)], ...] = Field(default=(), max_length=100)


class RetrainRequest(Spec):
    """How one trained network is trained once more, for good or for other data."""

    epochs: int = Field(ge=1, le=10_000)
    # A registered data set; the study's own where it is None.
    dataset: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    # Start from the trial's weights instead of from scratch; what does not fit other data starts anew.
    from_weights: bool = False
    # The lowest stages that stay as they are; only with `from_weights`.
    freeze: int = Field(default=0, ge=0, le=6)
    data: FinalPart = "train_and_validation"
    # Of weights, batches and augmentation.
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class ConfirmRun(View):
    """One training of a member with one seed."""

    job: int
    # 0, 1, ... of the member's seeds.
    run: int
    state: JobState
    reason: str | None
    # Qualities on the test part; empty until it is complete.
    metrics: dict[str, float]
    # sha256 of its files by name.
    artifacts: dict[str, str] = Field(default_factory=dict)


class ConfirmedMember(View):
    """A trial that is, or is being, confirmed."""

    trial: int
    number: int
    # The quality that is judged, by validation, as the search knows it.
    searched: float | None
    # None before the first run is complete.
    confirmed: Confirmed | None
    runs: list[ConfirmRun]


class ConfirmationView(View):
    """How the confirmation of a study's front stands."""

    study: int
    # The quality that is judged.
    quality: str
    # How the runs were trained: those of other settings, asked for earlier, are not among them.
    epochs: int | None
    data: FinalPart | None
    runs_complete: int
    runs_failed: int
    # Waiting and running ones too.
    runs: int
    members: list[ConfirmedMember]
    # Mean over the members whose optimism is known.
    optimism: float | None

    @property
    def is_under_way(self) -> bool:
        return self.runs_complete + self.runs_failed < self.runs


def confirmation_columns(view: ConfirmationView) -> tuple[str, ...]:
    """Return what a table of a confirmation shows."""
    return ("number", f"searched {view.quality}", "test mean", "deviation", "optimism", "runs")


def confirmation_rows(view: ConfirmationView) -> list[dict[str, Any]]:
    """Return the members as flat rows, by number."""
    return [
        {
            "number": member.number,
            f"searched {view.quality}": member.searched,
            "test mean": member.confirmed.mean.get(view.quality) if member.confirmed else None,
            "deviation": member.confirmed.deviation.get(view.quality) if member.confirmed else None,
            "optimism": member.confirmed.optimism if member.confirmed else None,
            "runs": f"{sum(run.state == 'complete' for run in member.runs)}/{len(member.runs)}",
        }
        for member in view.members
    ]
