"""What is kept of a trained network's answers on the validation part: the artifact of kind "evaluation"."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from nas_service.trials import TERMINAL_STATES, Trial, Value

KIND = "evaluation"
# Beyond so many classes a matrix has more cells than anybody reads; the confused pairs are kept alone.
MOST_CLASSES_IN_A_MATRIX = 100
MOST_MISCLASSIFIED = 300
MOST_CONFUSED_PAIRS = 200
# A file of another making is not read into memory.
MAX_BYTES = 8 * 1024 * 1024

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class ClassScore(Value):
    """Figures of one class; a precision without predictions and a recall without examples count as 0."""

    precision: Share
    recall: Share
    f1: Share
    # Validation examples of the class.
    support: Count


class ConfusedPair(Value):
    """How often examples of one class were taken for another."""

    true: Count
    predicted: Count
    count: Count


class Misclassified(Value):
    """One validation example that was taken for another class."""

    # Position in the data set's training arrays, `x_train` and `y_train`.
    index: Count
    true: Count
    predicted: Count
    # What the network gave the predicted class.
    probability: Share


class BranchContribution(Value):
    """A branch of a stage with company, and the accuracy when its map is silenced to its own mean."""

    # "stage1.branch2", counted as in the architecture.
    branch: str = Field(max_length=40)
    accuracy_without: Share


class Contributions(Value):
    """What each branch adds, on some of the validation examples."""

    examples: Count
    # With all branches, on the same examples.
    accuracy: Share
    branches: tuple[BranchContribution, ...]


class EvaluationDetails(Value):
    """How a network answers on the validation part after its last epoch."""

    version: Literal[1] = 1
    examples: Count
    correct: Count
    # Of probabilities: a softmax over all classes, or a sigmoid of one class where the loss is binary.
    probability: Literal["softmax", "sigmoid"]
    # Counts: rows are true classes, columns predicted ones; None beyond a hundred classes.
    confusion: tuple[tuple[Count, ...], ...] | None
    # The most frequent confusions, the most frequent first.
    confused: tuple[ConfusedPair, ...]
    f1_macro: Share
    scores: tuple[ClassScore, ...]
    # The most confident mistakes, the most confident first.
    misclassified: tuple[Misclassified, ...]
    # None where measuring it would have taken more than a few percent of training.
    contributions: Contributions | None = None

    @property
    def accuracy(self) -> float:
        """The share of examples that were classified rightly."""
        return self.correct / self.examples if self.examples else 0.0

    @property
    def mistakes(self) -> int:
        """How many examples were misclassified, those that are not listed too."""
        return self.examples - self.correct


def read_details(content: bytes) -> EvaluationDetails:
    """Return what a file of kind "evaluation" holds; raises `ValueError` for anything else."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has {len(content)} bytes; at most {MAX_BYTES} are read")
    try:
        return EvaluationDetails.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


class ClassShare(Value):
    """A class and the share of its examples that were classified rightly."""

    name: str
    recall: Share


class PairCount(Value):
    """Examples of one class that were taken for another, by name."""

    true: str
    predicted: str
    count: Count


class EvaluationSummary(Value):
    """An evaluation in a few figures."""

    examples: Count
    mistakes: Count
    f1_macro: Share
    # The class that was recognised least.
    weakest: ClassShare
    # The most frequent confusion; None without a mistake.
    most_confused: PairCount | None


def summarised(details: EvaluationDetails, names: Sequence[str]) -> EvaluationSummary:
    """Return an evaluation in a few figures, with the classes' names."""
    weakest = min(range(len(details.scores)), key=lambda number: details.scores[number].recall)
    first = details.confused[0] if details.confused else None
    return EvaluationSummary(
        examples=details.examples,
        mistakes=details.mistakes,
        f1_macro=details.f1_macro,
        weakest=ClassShare(name=names[weakest], recall=details.scores[weakest].recall),
        most_confused=first
        and PairCount(true=names[first.true], predicted=names[first.predicted], count=first.count),
    )


def why_none(trial: Trial) -> str:
    """Return in words why a trial keeps no evaluation."""
    if trial.state not in TERMINAL_STATES:
        return f"it is {trial.state}; it comes when training has ended"
    if trial.state != "complete":
        return f"it is {trial.state}, and only complete trials keep one"
    return "its worker kept none, as workers of earlier versions did"
