"""How accurate networks get on both sides of `benchmarks.training`, over several seeds.

One seed differs from another by points after so few epochs: only means tell whether speed cost accuracy.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from statistics import fmean, variance
from typing import Any

from benchmarks.report import print_table
from benchmarks.training_sides import SIDES, Job, Side

SEEDS = range(1, 5)
# Trainings at once on a GPU: loader processes need the cores.
ON_A_GPU = 6
HEADERS = ["network", "plain %", "ours %", "difference", "deviation of a seed"]
Accuracies = dict[tuple[str, Job], float]


def accuracy(jobs: Sequence[Job], device: str) -> dict[str, Any]:
    """Train all networks on both sides with each of the seeds, untimed, and compare test accuracies."""
    wanted = [(side, replace(job, seed=seed)) for seed in SEEDS for job in jobs for side in SIDES]
    found = _trained(wanted, [0, 1] if device == "cpu" else [None] * ON_A_GPU)
    rows = [_compared(found, job) for job in jobs]
    print_table(HEADERS, [_cells(row) for row in rows])
    mean = fmean(row["difference"] for row in rows)
    # Of a mean over networks and seeds, twice over: both sides vary.
    error = (2 * fmean(row["deviation"] ** 2 for row in rows) / len(SEEDS) / len(rows)) ** 0.5
    print(f"test accuracy, ours less plain: {mean:+.2f} points on average, standard error {error:.2f}")  # noqa: T201
    return {"seeds": list(SEEDS), "networks": rows, "mean_difference": mean, "standard_error": error}


def _trained(wanted: Sequence[tuple[str, Job]], cores: Sequence[int | None]) -> Accuracies:
    """Return test accuracies by side and job; one training at a time on each of the cores."""
    # A place's processes, one a side, begin with its first training.
    free: SimpleQueue[tuple[int | None, dict[str, Side]]] = SimpleQueue()
    places: list[tuple[int | None, dict[str, Side]]] = [(core, {}) for core in cores]
    for place in places:
        free.put(place)

    def train(entry: tuple[str, Job]) -> float:
        name, job = entry
        core, sides = place = free.get()
        try:
            side = sides[name] if name in sides else sides.setdefault(name, Side(name))
            side.begin(replace(job, core=core))
            for _ in range(job.epochs):
                side.ask("epoch")
            return side.result()[0]
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(cores)) as pool:
        accuracies = list(pool.map(train, wanted))
    for _, sides in places:
        for side in sides.values():
            side.end()
    return dict(zip(wanted, accuracies, strict=True))


def _compared(found: Accuracies, job: Job) -> dict[str, Any]:
    """Return a network's accuracies by side, their difference and the deviation of a seed in points."""
    by_side = {side: [found[side, replace(job, seed=seed)] for seed in SEEDS] for side in SIDES}
    return {
        "data": job.data,
        "network": job.network,
        **by_side,
        "difference": 100 * (fmean(by_side["ours"]) - fmean(by_side["plain"])),
        "deviation": 100 * fmean(variance(accuracies) for accuracies in by_side.values()) ** 0.5,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    means = [f"{100 * fmean(row[side]):.2f}" for side in SIDES]
    return [
        f"{row['data']} {row['network']}",
        *means,
        f"{row['difference']:+.2f}",
        f"{row['deviation']:.2f}",
    ]
