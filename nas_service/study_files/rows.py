"""The trials of a study as CSV and as JSON lines, a batch at a time."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from nas_service.metrics import METRICS
from nas_service.trials import Trial

_PLAIN = ("number", "id", "state", "arm", "reason", "excluded", "space_version", "worker", "attempt", "seed")
_MOMENTS = ("created_at", "started_at", "finished_at")
COLUMNS = (
    *_PLAIN,
    *_MOMENTS,
    *METRICS,
    *(f"violation_{name}" for name in METRICS),
    "latency_is_predicted",
    "training_s",
    "architecture_hash",
    "params",
)
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(batches: Iterable[list[Trial]]) -> Iterator[bytes]:
    """Yield a table with a head line, one line a trial: figures in the units that their names carry.

    Parameters are one JSON object, for each network has its own. UTF-8, RFC 4180.
    """
    yield _lines([COLUMNS])
    for batch in batches:
        yield _lines([_row(trial) for trial in batch])


def as_json_lines(batches: Iterable[list[Trial]]) -> Iterator[bytes]:
    """Yield one JSON object a line, a trial each, with everything that is known of it."""
    for batch in batches:
        yield b"".join(trial.model_dump_json(exclude={"checkpoints"}).encode() + b"\n" for trial in batch)


def _row(trial: Trial) -> list[Any]:
    return [
        *(_cell(getattr(trial, name)) for name in _PLAIN),
        *(moment.isoformat() if (moment := getattr(trial, name)) else "" for name in _MOMENTS),
        *(trial.metrics.get(name, "") for name in METRICS),
        *(trial.violations.get(name, "") for name in METRICS),
        str(bool(trial.predicted_metrics)).lower(),
        trial.timings.get("training_s", ""),
        trial.architecture_hash,
        json.dumps(trial.params, ensure_ascii=False),
    ]


def _cell(value: Any) -> Any:
    """A text as a spreadsheet may read it: one that looks like a formula gets an apostrophe in front."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
