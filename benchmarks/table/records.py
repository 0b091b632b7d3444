"""The table's files: one JSON object a line, a header first, then one line a training.

While a table is made, trainings are appended to a working file outside the repository; `save` writes what
there is, sorted, to the file beside this one. Both are read, so that the work goes on where either ends.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search_spaces.random_trial import Scalar

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Training:
    """One training of one architecture."""

    row: int
    seed: int
    # How the row's architecture was drawn; see `draws`.
    origin: str
    params: dict[str, Scalar]
    hash: str
    # Exact costs by metric name.
    costs: dict[str, int]
    # Validation accuracy behind each epoch; shorter where training diverged.
    accuracy: tuple[float, ...]
    seconds: float

    @property
    def key(self) -> tuple[int, int]:
        return self.row, self.seed


def committed_path(name: str) -> Path:
    """Where the finished part of a table lies."""
    return FOLDER / f"{name}.jsonl"


def read(*paths: Path) -> dict[tuple[int, int], Training]:
    """Return the trainings of all files that exist by (row, seed), sorted; the first file's word counts.

    A line that was cut off while it was written is left out.
    """
    found: dict[tuple[int, int], Training] = {}
    for path in paths:
        for line in _lines(path):
            if "row" in line:
                training = Training(**{**line, "accuracy": tuple(line["accuracy"])})
                found.setdefault(training.key, training)
    return dict(sorted(found.items()))


def read_header(path: Path) -> dict[str, Any]:
    """Return the first line of a committed file: how the table was made."""
    return next(iter(_lines(path)), {})


def append(path: Path, training: Training) -> None:
    """Add a training to a working file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(_text(asdict(training)) + "\n")


def save(path: Path, header: dict[str, Any], trainings: Iterable[Training]) -> None:
    """Write a table's file anew."""
    lines = [_text(header), *(_text(asdict(training)) for training in trainings)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
