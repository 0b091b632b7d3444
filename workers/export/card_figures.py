"""The figures of a model card that tell how good the network is, and what each of them is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from nas_service.metrics import METRICS, QUALITIES
from workers.export.trained import Trained

_WORDS = {name: METRICS[name].label.removeprefix("Validation ") for name in QUALITIES}
LABELS = {name: words[0].upper() + words[1:] for name, words in _WORDS.items()}
# The ends of a 95 % interval, in standard errors.
_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One quality, as the search knows it, as confirming runs found it, and of the network in the files."""

    label: str
    # On the validation part; None where that was another data set's.
    searched: float | None
    # On the test part, over the runs; None where nothing was confirmed.
    mean: float | None
    # None of a single run too.
    deviation: float | None
    # On the test part.
    here: float


def quality_rows(trained: Trained, here: Mapping[str, float]) -> list[QualityRow]:
    """Return accuracy, and whatever other quality the study asks for."""
    spec = trained.study.spec
    asked = ["accuracy", *(each.metric for each in spec.objectives), *spec.constraints]
    found = trained.confirmed.figures if trained.confirmed else None
    return [
        QualityRow(
            label=LABELS[name],
            searched=trained.trial.metrics.get(name) if _is_own(trained) else None,
            mean=found.mean.get(name) if found else None,
            deviation=found.deviation.get(name) if found else None,
            here=here[name],
        )
        for name in dict.fromkeys(asked)
        if name in QUALITIES and name in here
    ]


def origin(trained: Trained) -> dict[str, Any]:
    """Return which training the network is of, in words, and how it went."""
    spec, run = trained.study.spec, trained.run
    if run is None:
        return {
            "name": "",
            "words": "the search",
            "epochs": spec.training.epochs,
            "seed": spec.search.seed,
            "is_searched": True,
        }
    words = "a retraining" if run.kind == "retrain" else "a confirming run"
    return {
        "name": f", {'retrained' if run.kind == 'retrain' else 'confirming run'} (job {run.job})",
        "words": f"{words}, job {run.job}",
        "epochs": run.epochs,
        "seed": run.seed,
        "is_searched": False,
    }


def interval(share: float, examples: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share that was found on so many examples.

    Source: Wilson 1927, which stays within 0 and 1, near their ends too.

    Example:
        >>> [round(end, 4) for end in interval(0.99, 1000)]
        [0.9817, 0.9946]
    """
    ratio = _95**2 / examples
    centre = (share + ratio / 2) / (1 + ratio)
    half = _95 / (1 + ratio) * (share * (1 - share) / examples + ratio / (4 * examples)) ** 0.5
    return centre - half, centre + half


def notes(trained: Trained, examples: int) -> list[dict[str, str]]:
    """Return what each column of figures is worth, a name and a sentence or two each.

    Args:
        trained: Whose card it is.
        examples: Of the test part.
    """
    here = (
        f"The weights in these files, of {origin(trained)['words']}, on the {examples:,} examples of the "
        "test part, which neither training nor the search has seen. One training: another seed gives another "
        "figure."
    )
    rows = (
        ("searched", "Searched", "validation part", _searched_words(trained)),
        ("confirmed", "Confirmed", "test part", _confirmed_words(trained)),
        ("here", "This network", "test part", here),
    )
    return [dict(zip(("column", "name", "part", "words"), row, strict=True)) for row in rows]


def _searched_words(trained: Trained) -> str:
    if not _is_own(trained):
        return "Nothing: the search trained on another data set than these weights."
    return "By the search, which chose among its candidates by it: chance chose along, so that it flatters."


def _confirmed_words(trained: Trained) -> str:
    told, study = trained.confirmed, trained.study
    if not _is_own(trained):
        return "Nothing: confirming runs are trained on the data set of the search."
    if told is None:
        return (
            f"Nothing yet. nas study confirm {study.id} --trial {trained.trial.number} trains this "
            "architecture anew with several seeds and measures each network once on the test part."
        )
    runs, optimism = told.figures.runs, told.figures.optimism
    what = f"Mean and deviation of {runs} networks" if runs > 1 else "One network"
    data = "training and validation part" if told.data == "train_and_validation" else "training part"
    said = (
        f"{what} of this architecture, trained from scratch with other seeds ({told.epochs} epochs, {data}), "
        "each measured once: what to expect of the architecture."
    )
    if optimism is None:
        return said
    how = "better" if optimism > 0 else "worse"
    return f"{said} {LABELS[told.quality]}: the search's figure is {100 * abs(optimism):.2f} points {how}."


def _is_own(trained: Trained) -> bool:
    return trained.dataset_sha256 == trained.study.dataset_sha256
