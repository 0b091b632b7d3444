"""Train the architectures of the table: `python -m benchmarks.table.make mnist|fsdd-logmel`.

Each is trained once for nine epochs with one recipe, and the accuracy behind every epoch is kept: what
a rung of 1 or 3 epochs sees of a search with nine epochs is what that search would have seen. It may be
stopped and started again at any time: it goes on behind the trainings of the working file and of the file
beside this module. `--save` writes the latter and trains nothing.
"""

import argparse
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.report import conditions
from benchmarks.table.data import SHAPES, SPLIT_SEED, VALIDATION_SHARE, load
from benchmarks.table.draws import LARGEST_MACS, Draw, draw
from benchmarks.table.records import Training, append, committed_path, read, save
from nas_service.studies import Recipe
from nas_service.trials import EpochReport, Instruction
from search_spaces import SearchSpace, analyse, resolve_space
from search_spaces.modules import build
from workers.data.arrays import TrainingData
from workers.memory import keep_freed_memory
from workers.training.trainer import Diverged, train

ROWS = 800
EPOCHS = 9
# Smaller batches than the default 128: so small a training part would otherwise end half trained.
RECIPES = {
    "mnist": Recipe(batch_size=64, learning_rate=0.07),
    "fsdd-logmel": Recipe(batch_size=64, learning_rate=0.07),
    "digits": Recipe(batch_size=32, learning_rate=0.05),
}
# So many rows apart stands one that is trained with a second seed too.
SECOND_SEED_EVERY = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """A training that the table lacks."""

    row: int
    seed: int


def next_wanted(done: dict[tuple[int, int], Training], rows: int) -> Wanted | None:
    """Return the first training that is missing, row after row; None if the table is full."""
    for row in range(rows):
        for seed in (0, 1) if row % SECOND_SEED_EVERY == 0 else (0,):
            if (row, seed) not in done:
                return Wanted(row, seed)
    return None


def trained(wanted: Wanted, drawn: Draw, data: TrainingData, recipe: Recipe) -> Training:
    """Train an architecture and return what the table keeps of it."""
    accuracy: list[float] = []

    def on_epoch(report: EpochReport) -> Instruction:
        accuracy.append(round(report.accuracy or 0.0, 5))
        return "continue"

    started = perf_counter()
    network = build(drawn.architecture, seed=wanted.seed, initialisation=recipe.initialisation)
    # Where training diverges, the row is shorter.
    with suppress(Diverged):
        train(network, data, recipe, epochs=EPOCHS, seed=wanted.seed, on_epoch=on_epoch)
    return Training(
        row=wanted.row,
        seed=wanted.seed,
        origin=drawn.origin,
        params=drawn.params,
        hash=drawn.architecture.hash,
        costs=analyse(drawn.architecture).metrics(),
        accuracy=tuple(accuracy),
        seconds=round(perf_counter() - started, 2),
    )


def header(name: str, data: TrainingData) -> dict[str, object]:
    """Return how the table was made."""
    return {
        "data": name,
        "input_shape": list(SHAPES[name]),
        "space": "multi_scale",
        "epochs": EPOCHS,
        "examples": {"train": len(data.train), "validation": len(data.validation)},
        "split": {"share": round(VALIDATION_SHARE, 6), "seed": SPLIT_SEED, "sha256": data.split_sha256},
        "recipe": RECIPES[name].model_dump(mode="json"),
        "largest_macs": LARGEST_MACS,
        "rows_planned": ROWS,
        **conditions("torch", "numpy"),
    }


def main() -> None:
    arguments = _arguments()
    name, working = arguments.data, arguments.work / f"{arguments.data}.jsonl"
    data, space = load(name), resolve_space("multi_scale")
    done = read(committed_path(name), working)
    if not arguments.save:
        torch.set_num_threads(1)
        keep_freed_memory()
        _make(name, working, data, space, done, arguments.rows)
    save(committed_path(name), header(name, data), done.values())


def _make(
    name: str,
    working: Path,
    data: TrainingData,
    space: SearchSpace,
    done: dict[tuple[int, int], Training],
    rows: int,
) -> None:
    while (wanted := next_wanted(done, rows)) is not None:
        earlier = {key: training for key, training in done.items() if key[0] < wanted.row}
        drawn = draw(wanted.row, space, SHAPES[name], earlier)
        training = trained(wanted, drawn, data, RECIPES[name])
        append(working, training)
        done[training.key] = training


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=sorted(SHAPES))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "nas-table")
    parser.add_argument("--save", action="store_true", help="only write what there is beside this module")
    return parser.parse_args()


if __name__ == "__main__":
    main()
