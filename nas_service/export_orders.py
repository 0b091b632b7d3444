"""What the worker that exports is told: what was asked for, and what the service alone knows."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from nas_service.confirmations import FinalPart
from nas_service.exports import ExportRequest
from nas_service.trials import Trial
from nas_service.views import Confirmed

# Of a trial's files, and of a final training's: what an export reads.
KINDS = {"architecture": "architecture.json", "weights": "weights.safetensors"}


class Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfirmedFigures(Told):
    """What a confirmation says of a trial, and how its runs were trained."""

    # The quality whose optimism is told.
    quality: str
    epochs: int
    data: FinalPart
    figures: Confirmed


class FinalRun(Told):
    """A confirming run or a retraining whose weights are exported instead of the search's."""

    job: int
    kind: Literal["confirm", "retrain"]
    epochs: int
    seed: int
    data: FinalPart
    dataset: str
    dataset_sha256: str
    # Of what it was trained on, a number a channel: by these its inputs are normalised.
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    # sha256 by kind, as a trial's.
    artifacts: dict[str, str]


class ExportOrder(ExportRequest):
    """An export as a job's payload."""

    # None where nothing was confirmed, or with other data than the network's own.
    confirmed: ConfirmedFigures | None = None
    # None where the weights are the search's.
    run: FinalRun | None = None

    def owner(self, trial: Trial) -> str:
        """Return whose files these are, in words."""
        return f"job {self.run.job}" if self.run else f"trial {trial.number}"

    def files(self, trial: Trial) -> dict[str, str]:
        """Return what is read, sha256 by kind."""
        held = self.run.artifacts if self.run else trial.artifacts
        return {kind: held[kind] for kind in KINDS}
