"""How fast candidates train: ours beside the loop that a tutorial shows, on MNIST and CIFAR-10 sizes.

Both train the same five networks with the same recipe, batch size, epochs and examples, each in a process of
its own on the same single core. They take turns, an epoch each, so that a change of the machine's speed meets
both. A candidate is all of its epochs and validations and what comes before them but reading the data, which
serve all candidates; how accurate it got on the test part is measured outside the clock. Then: two workers on
two cores against one, one worker with two threads, what augmentation costs, and how much of the machine's
measured peak each network reaches. And, with `--only accuracy`, both sides with several seeds, untimed: a
single seed differs from another by points.

    python -m benchmarks.training [--quick] [--data FOLDER] [--device cuda]

FOLDER holds mnist.npz and cifar10-images.zip. With `--device cuda` both sides train on the GPU, with more
examples and all cores for the plain loop's loader processes, one process a side for all candidates; ours also
several candidates at once.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, geometric_mean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.networks import NETWORKS
from benchmarks.report import conditions, print_table, write
from benchmarks.training_accuracy import accuracy
from benchmarks.training_sides import RECIPES, SEED, SIDES, Job, Side, serve_together, training_data
from nas_service.datasets import read_dataset
from nas_service.studies import Augmentation
from nas_service.trials import EpochReport, Instruction
from search_spaces import analyse
from workers.data.arrays import Part

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {"mnist": "mnist.npz", "cifar10": "cifar10-images.zip"}
EXAMPLES, QUICK_EXAMPLES, GPU_EXAMPLES, VALIDATION, TEST, EPOCHS = 2_560, 1_280, 20_480, 500, 5_000, 4
QUICK_NETWORKS = ("two_conv", "PyConv4")
# Of the multiply-accumulates: forward, and twice as many backward.
PASSES = 3


@dataclass(frozen=True)
class Candidate:
    """What one side needed for one network; an epoch includes its look at the validation part."""

    data: str
    network: str
    side: str
    examples: int
    start_s: float
    epoch_s: list[float]
    test_accuracy: float
    peak_rss_mb: float

    @property
    def images_a_second(self) -> float:
        """Examples trained in a second, by the median epoch."""
        return self.examples / median(self.epoch_s)

    @property
    def candidates_an_hour(self) -> float:
        """Candidates of so many epochs, one after the other."""
        return 3600 / (self.start_s + sum(self.epoch_s))


def compared(job: Job, sides: Mapping[str, Side]) -> tuple[Candidate, Candidate]:
    """Train a network on both sides by turns."""
    started = {name: side.begin(job) for name, side in sides.items()}
    epochs: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(job.epochs):
        for name, side in sides.items():
            epochs[name].append(side.ask("epoch"))
    plain, ours = (
        Candidate(job.data, job.network, name, job.examples, started[name], epochs[name], *side.result())
        for name, side in sides.items()
    )
    return plain, ours


def all_compared(jobs: Sequence[Job], device: str) -> Iterator[tuple[Candidate, Candidate]]:
    """Yield both sides of all jobs: in new processes each, or on a GPU one after the other in the same."""
    sides: dict[str, Side] = {}
    for job in jobs:
        sides = sides or {name: Side(name) for name in SIDES}
        yield compared(job, sides)
        if device == "cpu" or job == jobs[-1]:
            for side in sides.values():
                side.end()
            sides = {}


def rate(job: Job, cores: Sequence[int | None], threads: int = 1) -> float:
    """Return examples a second of our side: a process for each of the cores, all training at once."""
    sides = [Side("ours") for _ in cores]
    for side, core in zip(sides, cores, strict=True):
        side.begin(replace(job, core=core, threads=threads))
        side.ask("epoch")
    rates = []
    for _ in range(job.epochs - 1):
        for side in sides:
            side.send("epoch")
        rates.append(sum(job.examples / side.answer() for side in sides))
    for side in sides:
        side.result()
        side.end()
    return float(max(rates))


def on_two_cores(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Compare two workers of one thread, and one of two threads, with one of one."""
    found = []
    for job in jobs:
        rounds = [(rate(job, [0]), rate(job, [0, 1]), rate(job, [None], threads=2)) for _ in range(2)]
        one, two, threads = (max(figures) for figures in zip(*rounds, strict=True))
        found.append(
            {"data": job.data, "network": job.network, "workers": two / one, "threads": threads / one}
        )
    return found


def at_once(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Compare several candidates at once on a GPU, as many as a worker would take, with one at a time."""
    from workers.devices import candidates_at_once

    count = candidates_at_once(torch.device("cuda"))
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve_together, args=(theirs,))
    process.start()

    def seconds(job: Job, number: int) -> float:
        pipe.send((job, number))
        return float(pipe.recv())

    found = []
    for job in jobs:
        # Shapes that are met for the first time, and then the figure.
        alone = min(seconds(job, 1) for _ in range(3))
        together = {number: seconds(job, number) for number in (count, 2 * count)}
        found.append(
            {
                "data": job.data,
                "network": job.network,
                "count": count,
                "candidates_an_hour": 3600 * count / together[count],
                "gains": {number: number * alone / taken for number, taken in together.items()},
            }
        )
    pipe.send(None)
    process.join()
    return found


def augmentation(jobs: list[Job], device: str) -> list[dict[str, Any]]:
    """Return and print which part of a step cropping and flipping take, for the networks that have them."""
    if device != "cpu":
        return []
    torch.set_num_threads(1)
    chosen = [job for job in jobs if RECIPES[job.data].augmentation != Augmentation()]
    found: list[dict[str, Any]] = [
        {"data": job.data, "network": job.network, "share": augmentation_share(job)} for job in chosen
    ]
    for line in found:
        print(f"{line['data']} {line['network']}: augmentation {100 * line['share']:.1f} % of a step")  # noqa: T201
    return found


def augmentation_share(job: Job) -> float:
    """Time batches with and without augmentation by turns with whole steps; the shortest of each counts."""
    from search_spaces.modules import build
    from workers.training.batches import epoch_batches
    from workers.training.trainer import train

    data = training_data(job.arrays)[0]
    recipe = RECIPES[job.data]
    plain = recipe.model_copy(update={"augmentation": Augmentation()})
    steps = job.examples // recipe.batch_size
    best = dict.fromkeys(("with", "without", "step"), float("inf"))
    started = perf_counter()

    def between_epochs(report: EpochReport) -> Instruction:
        nonlocal started
        best["step"] = min(best["step"], (perf_counter() - started) / steps)
        for name, one in (("with", recipe), ("without", plain)):
            generator, begun = torch.Generator().manual_seed(SEED), perf_counter()
            for _batch in epoch_batches(data, one.batch_size, one.augmentation, generator):
                pass
            best[name] = min(best[name], (perf_counter() - begun) / steps)
        started = perf_counter()
        return "continue"

    few = replace(data, validation=replace(data.validation, **_first(data.validation)))
    network = build(NETWORKS[job.network](data.train.examples.shape[1:]), seed=SEED)
    train(network, few, recipe, epochs=job.epochs, seed=SEED, on_epoch=between_epochs)
    return (best["with"] - best["without"]) / best["step"]


def _first(part: Part) -> dict[str, torch.Tensor]:
    """Return the first examples of a part, as few as make validation cost next to nothing."""
    return {"examples": part.examples[:10], "labels": part.labels[:10]}


def peak_gflops(device: str) -> dict[str, float]:
    """Measure a large matrix product in both number types, on one core or the GPU."""
    size = 2048 if device == "cpu" else 8192
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds = []
        for _ in range(5):
            started = perf_counter()
            # Reading a number waits for the device.
            (left @ right)[0, 0].item()
            seconds.append(perf_counter() - started)
        found[name] = 2 * size**3 / min(seconds) / 1e9
    return found


def prepared(data: str, folder: Path, target: Path, examples: int) -> Path:
    """Write the examples that both sides train on, look at, and are tested on."""
    dataset = read_dataset(folder / FILES[data])
    order = np.random.default_rng(SEED).permutation(len(dataset.x_train))
    train, held_out = order[:examples], order[examples : examples + VALIDATION]
    # A CIFAR-10 of pictures has its test part in order of classes: every so many are of all of them.
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    step = len(dataset.x_test) // TEST
    path = target / f"{data}.npz"
    np.savez(
        path,
        x_train=dataset.x_train[train],
        y_train=dataset.y_train[train],
        x_validation=dataset.x_train[held_out],
        y_validation=dataset.y_train[held_out],
        x_test=dataset.x_test[::step],
        y_test=dataset.y_test[::step],
    )
    return path


def gflops(candidate: Candidate) -> float:
    """Return what a side computes a second, in 10^9 operations, by the counts of the description."""
    shape = (1, 28, 28) if candidate.data == "mnist" else (3, 32, 32)
    macs = analyse(NETWORKS[candidate.network](shape)).metrics()["macs"]
    return 2 * PASSES * macs * candidate.images_a_second / 1e9


def row(plain: Candidate, ours: Candidate, peaks: dict[str, float]) -> list[str]:
    """Return a line of the table."""
    return [
        f"{plain.data} {plain.network}",
        f"{plain.images_a_second:,.0f}",
        f"{ours.images_a_second:,.0f}",
        f"{plain.candidates_an_hour:.1f}",
        f"{ours.candidates_an_hour:.1f}",
        f"{ours.candidates_an_hour / plain.candidates_an_hour:.2f}",
        f"{100 * plain.test_accuracy:.2f}",
        f"{100 * ours.test_accuracy:.2f}",
        f"{100 * gflops(ours) / max(peaks.values()):.0f} %",
        f"{plain.peak_rss_mb:.0f} / {ours.peak_rss_mb:.0f}",
    ]


HEADERS = [
    "network",
    "images/s plain",
    "ours",
    "candidates/h plain",
    "ours",
    "ratio",
    "test % plain",
    "ours",
    "of peak",
    "MB plain / ours",
]


def jobs_of(names: Sequence[str], data: Path, folder: Path, examples: int, device: str) -> Iterator[Job]:
    """Yield what is to be trained."""
    for kind in FILES:
        path = prepared(kind, data, folder, examples)
        for name in names:
            yield Job(kind, name, path, examples, EPOCHS, device, core=0 if device == "cpu" else None)


def networks(jobs: list[Job], device: str) -> dict[str, Any]:
    """Train all networks on both sides, print the table, and return what is kept."""
    torch.set_num_threads(1)
    peaks = peak_gflops(device)
    both = []
    for pair in all_compared(jobs, device):
        both.append(pair)
        print_table(HEADERS, [row(*pair, peaks)])
    print_table(HEADERS, [row(*pair, peaks) for pair in both])
    ratios = [ours.candidates_an_hour / plain.candidates_an_hour for plain, ours in both]
    gaps = [100 * (ours.test_accuracy - plain.test_accuracy) for plain, ours in both]
    print(  # noqa: T201
        f"candidates/hour, ours to plain: geometric mean {geometric_mean(ratios):.2f}, "
        f"smallest {min(ratios):.2f}\n"
        f"test accuracy, ours less plain: {fmean(gaps):+.2f} points on average, "
        f"{min(gaps):+.2f} to {max(gaps):+.2f}\n"
        f"peak of a matrix product: fp32 {peaks['fp32']:.0f}, bf16 {peaks['bf16']:.0f} GFLOP/s"
    )
    return {
        "peak_gflops": peaks,
        "candidates": [
            {**asdict(side), "candidates_an_hour": side.candidates_an_hour, "gflops": gflops(side)}
            for pair in both
            for side in pair
        ],
        "ratios": ratios,
        "geometric_mean": geometric_mean(ratios),
        "accuracy_gaps": gaps,
    }


def company(jobs: list[Job], device: str) -> list[dict[str, Any]]:
    """Compare candidates that train at once with one at a time: on two cores, or on one GPU."""
    if device == "cuda":
        found = at_once(jobs)
        for line in found:
            gains = " and ".join(f"{count} at once {gain:.2f}" for count, gain in line["gains"].items())
            print(f"{line['data']} {line['network']}: {gains} times the candidates of one at a time")  # noqa: T201
        return found
    found = on_two_cores([job for job in jobs if job.network in QUICK_NETWORKS and job.data == "mnist"])
    for line in found:
        print(  # noqa: T201
            f"{line['data']} {line['network']}: two workers {line['workers']:.2f} times one, "
            f"one worker with two threads {line['threads']:.2f} times"
        )
    return found


PARTS = {"networks": networks, "augmentation": augmentation, "company": company, "accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two networks, fewer examples")
    parser.add_argument("--only", choices=tuple(PARTS), help="a part of it")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the two data sets")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here")
    if missing := [name for name in FILES.values() if not (options.data / name).exists()]:
        parser.error(f"--data {options.data} has no {' and no '.join(missing)}")
    names, examples = list(NETWORKS), EXAMPLES if options.device == "cpu" else GPU_EXAMPLES
    if options.quick:
        names, examples = list(QUICK_NETWORKS), QUICK_EXAMPLES
    with tempfile.TemporaryDirectory() as folder:
        jobs = list(jobs_of(names, options.data, Path(folder), examples, options.device))
        found: dict[str, Any] = {}
        try:
            for part, run in PARTS.items():
                # Half an hour more, and no timing.
                is_wanted = options.only == part if part == "accuracy" else options.only in (None, part)
                if is_wanted:
                    found[part] = run(jobs, options.device)
                    keep(part, found[part], options)
            if options.device == "cuda" and {"networks", "company"} <= found.keys():
                print_together(found["networks"]["candidates"], found["company"])
        finally:
            # A side whose other one broke would wait for its turn for ever.
            for process in multiprocessing.active_children():
                process.terminate()


def print_together(candidates: Sequence[dict[str, Any]], company: Sequence[dict[str, Any]]) -> None:
    """Print candidates an hour of ours, several at once, to the plain loop's."""
    plain = [one["candidates_an_hour"] for one in candidates if one["side"] == "plain"]
    ours = [one["candidates_an_hour"] for one in company]
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    print(  # noqa: T201
        f"candidates/hour, ours {company[0]['count']} at once, to plain: "
        f"{', '.join(f'{ratio:.1f}' for ratio in ratios)}; geometric mean {geometric_mean(ratios):.1f}"
    )


def keep(part: str, content: Any, options: argparse.Namespace) -> None:
    """Write the figures of a part, unless there are none, or they are of a quick look."""
    if options.quick or not content:
        return
    everything = {"conditions": conditions("torch", "numpy", "pillow"), part: content}
    if options.device == "cuda":
        everything["conditions"]["gpu"] = torch.cuda.get_device_name()
    print(f"written to {write(f'training_{part}_{options.device}', everything)}")  # noqa: T201


if __name__ == "__main__":
    main()
