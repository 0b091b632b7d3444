"""What can be asked of an export, in every interface."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from nas_service.errors import Conflict, NotFound
from nas_service.row_ids import MAX_ID
from nas_service.trials import Trial

FORMATS = ("torch", "code", "onnx", "onnx-int8", "card")
TARGETS = ("cpu-onnx", "cpu-torch", "cuda")
MAX_QAT_EPOCHS = 50

ExportFormat = Literal["torch", "code", "onnx", "onnx-int8", "card", "all"]
Target = Literal["cpu-onnx", "cpu-torch", "cuda"]


class ExportRequest(BaseModel):
    """Which files of a trained network are wanted, and for where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # "all" stands for each of them.
    formats: tuple[ExportFormat, ...] = ("all",)
    # Where it will run: the fastest form there is chosen.
    target: Target = "cpu-onnx"
    # Whether the ONNX files take examples as in the data set.
    with_preprocessing: bool = False
    # A complete retraining or confirming run of the trial whose weights are exported; None: the search's.
    job: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    # Epochs of quantisation-aware fine-tuning before the 8-bit file is written; 0: none.
    qat_epochs: Annotated[int, Field(ge=0, le=MAX_QAT_EPOCHS)] = 0

    @field_validator("formats")
    @classmethod
    def _are_some(cls, formats: tuple[ExportFormat, ...]) -> tuple[ExportFormat, ...]:
        if not formats:
            raise ValueError(f"names no format; allowed: {', '.join((*FORMATS, 'all'))}")
        return formats

    @property
    def chosen(self) -> tuple[str, ...]:
        """The formats in their order, "all" spelled out."""
        return FORMATS if "all" in self.formats else tuple(name for name in FORMATS if name in self.formats)


def check_exportable(trial: Trial) -> None:
    """Refuse a trial that left no trained network.

    Raises:
        Conflict: It is not complete; says what it is, and why.
        NotFound: It is complete, but left no files.
    """
    if trial.state != "complete":
        reason = f": {trial.reason}" if trial.reason else ""
        raise Conflict(
            f"trial {trial.number} of study {trial.study_id} is {trial.state}{reason}; only complete trials "
            f"can be exported, see: nas study front {trial.study_id}"
        )
    for kind in ("architecture", "weights"):
        if kind not in trial.artifacts:
            raise NotFound(f"trial {trial.number} left no {kind} when it was trained")
