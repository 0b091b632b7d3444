"""The model card: what the network is, how it came about, and what was measured of it (Mitchell et al. 2019,
arXiv:1810.03993)."""

from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from torch import Tensor

from search_spaces import analyse
from search_spaces.diagram import svg
from search_spaces.wording import summary
from workers.export.card_figures import interval, notes, origin, quality_rows
from workers.export.contribution import Contribution
from workers.export.size_limits import Excess
from workers.export.trained import Trained
from workers.training.metrics import class_figures, confusion_matrix, quality_metrics
from workers.versions import versions

# Larger confusion matrices tell a reader nothing.
MOST_CLASSES = 30


@dataclass(frozen=True, slots=True)
class FormRow:
    """One way to run the network, as measured at export."""

    name: str
    size_bytes: int
    # None where it was not measured here.
    median_ms: float | None
    interval_ms: tuple[float, float] | None
    accuracy: float
    disagreements: int
    largest_difference: float
    where: str


def card(
    trained: Trained, forms: list[FormRow], excesses: list[Excess], branches: list[Contribution]
) -> dict[str, str]:
    """Return the card as files: CARD.md and card.html."""
    facts = _facts(trained, forms, branches) | {"excesses": [excess.words for excess in excesses]}
    return {
        "CARD.md": _templates().get_template("card.md").render(facts),
        "card.html": _templates().get_template("card.html").render(facts),
    }


def _facts(trained: Trained, forms: list[FormRow], branches: list[Contribution]) -> dict[str, Any]:
    logits, labels = trained.test_logits, trained.test.labels
    confusion = confusion_matrix(logits, labels)
    quality = quality_metrics(logits, labels)
    examples = {
        "training": len(trained.data.train),
        "validation": len(trained.data.validation) if trained.has_validation else 0,
        "test": len(trained.test),
    }
    return {
        "study": trained.study,
        "trial": trained.trial,
        "spec": trained.study.spec,
        "dataset": trained.dataset,
        "dataset_sha256": trained.dataset_sha256,
        "split_sha256": trained.data.split_sha256,
        "architecture_hash": trained.architecture.hash,
        "weights_sha256": trained.weights_sha256,
        "origin": origin(trained),
        "confirmed": trained.confirmed,
        "qualities": quality_rows(trained, quality),
        "notes": notes(trained, len(labels)),
        "examples": examples,
        "cost": analyse(trained.architecture),
        "summary": summary(trained.architecture),
        "svg": svg(trained.architecture),
        "quality": quality,
        "interval": interval(quality["accuracy"], len(labels)),
        "classes": _class_rows(trained, confusion),
        "confusion": confusion.tolist() if len(confusion) <= MOST_CLASSES else None,
        # By it mistakes are shaded; 1 where there are none.
        "most_confused": max(1, int((confusion - confusion.diag().diag()).max())),
        "forms": [asdict(form) for form in forms],
        "branches": [
            {"branch": each.branch, "loss": quality["accuracy"] - each.accuracy_without} for each in branches
        ],
        "versions": versions(),
    }


def _class_rows(trained: Trained, confusion: Tensor) -> list[dict[str, Any]]:
    figures, present = class_figures(confusion), confusion.sum(1).tolist()
    columns = zip(
        trained.dataset.class_names,
        present,
        figures.precision.tolist(),
        figures.recall.tolist(),
        figures.f1.tolist(),
        strict=True,
    )
    names = ("name", "examples", "precision", "recall", "f1")
    return [dict(zip(names, row, strict=True)) for row in columns]


@cache
def _templates() -> jinja2.Environment:
    def load(name: str) -> str:
        return (resources.files("workers.export") / "templates" / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda share: "–" if share is None else f"{100 * share:.2f} %"
    environment.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    environment.filters["bytes"] = _bytes
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment


def _bytes(size: int) -> str:
    return f"{size / 1024:.1f} KiB" if size < 1024**2 else f"{size / 1024**2:.2f} MiB"
