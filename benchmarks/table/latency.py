"""Measure the latency of the table's rows: `python -m benchmarks.table.latency mnist|fsdd-logmel|digits`.

Each architecture of the committed file is measured as a worker measures it: folded, in ONNX Runtime on one
thread, batch 1, divided by a reference network. A second or so a row; what was measured before is kept, and
the file beside this module is written after every few, so that it may be stopped at any time.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.report import conditions
from benchmarks.table.data import SHAPES
from benchmarks.table.draws import CLASSES
from benchmarks.table.records import FOLDER, Training, committed_path, read
from search_spaces import Architecture, RandomTrial, SearchSpace, resolve_space
from workers.latency import measure

WRITTEN_EVERY = 20
MICROSECONDS_A_MS = 1000


def latency_path(name: str) -> Path:
    """Where the latencies of a table lie."""
    return FOLDER / f"{name}.latency.json"


def read_latencies(name: str) -> dict[str, float]:
    """Return the median in milliseconds by architecture hash, of what was measured."""
    path = latency_path(name)
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"microseconds": {}}
    return {key: value / MICROSECONDS_A_MS for key, value in content["microseconds"].items()}


def main() -> None:
    name = _arguments().data
    space, known = resolve_space("multi_scale"), read_latencies(name)
    rows = [training for (_, seed), training in read(committed_path(name)).items() if seed == 0]
    wanted = [training for training in rows if training.hash not in known]
    for count, training in enumerate(wanted, start=1):
        known[training.hash] = measure(_architecture(training, space, name)).median_ms
        if count % WRITTEN_EVERY == 0 or count == len(wanted):
            latency_path(name).write_text(_content(name, known), encoding="utf-8")


def _architecture(training: Training, space: SearchSpace, name: str) -> Architecture:
    return space.sample(RandomTrial(0, fixed=training.params), SHAPES[name], CLASSES)


def _content(name: str, known: dict[str, float]) -> str:
    head: dict[str, Any] = {"data": name, "device": "cpu", **conditions("onnxruntime")}
    figures = {key: round(value * MICROSECONDS_A_MS, 1) for key, value in sorted(known.items())}
    return json.dumps({**head, "microseconds": figures}, indent=0) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=sorted(SHAPES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
