"""The two sides that `benchmarks.training` compares, each served by a process of its own."""

import multiprocessing
import os
import resource
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.networks import CLASSES, NETWORKS
from nas_service.studies import Augmentation, Recipe

if TYPE_CHECKING:
    from workers.data.arrays import Part, TrainingData

SEED = 0
SIDES = ("plain", "ours")
RECIPES = {
    "mnist": Recipe(),
    "cifar10": Recipe(augmentation=Augmentation(crop_padding=4, horizontal_flip=True)),
}


@dataclass(frozen=True)
class Job:
    """A network, the file of its examples, and where it is trained."""

    data: str
    network: str
    arrays: Path
    examples: int
    epochs: int
    device: str = "cpu"
    # The only core it may use; None for all of them.
    core: int | None = 0
    threads: int = 1
    # Of first weights, order and augmentation.
    seed: int = SEED


class Plain:
    """The loop of a tutorial."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def start(self) -> None:
        import torch

        from benchmarks.plain_loop import Pictures, PlainLoop, Transform
        from search_spaces.modules import build

        arrays, recipe = np.load(self._job.arrays), RECIPES[self._job.data]
        data, _ = training_data(self._job.arrays)
        padding = recipe.augmentation.crop_padding
        training = Transform(data.mean, data.deviation, padding, flips=recipe.augmentation.horizontal_flip)
        plain = Transform(data.mean, data.deviation, 0, flips=False)
        network = build(NETWORKS[self._job.network](arrays["x_train"].shape[1:]), seed=self._job.seed)
        torch.manual_seed(self._job.seed)
        self._parts = {
            part: Pictures(arrays[f"x_{part}"], arrays[f"y_{part}"], training if part == "train" else plain)
            for part in ("train", "validation", "test")
        }
        self._loop = PlainLoop(network, self._parts["train"], recipe, self._job.epochs, self._job.device)

    def epoch(self) -> None:
        """Train for an epoch and look at the validation part."""
        self._loop.train_epoch()
        self._loop.accuracy(self._parts["validation"])

    def test_accuracy(self) -> float:
        return self._loop.accuracy(self._parts["test"])


class Ours:
    """The worker's own training, held up after each epoch by its report."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def start(self) -> None:
        from search_spaces.modules import build
        from workers.memory import keep_freed_memory

        keep_freed_memory()
        self._data, self._test = training_data(self._job.arrays)
        architecture = NETWORKS[self._job.network](self._data.train.examples.shape[1:])
        self._network = build(architecture, seed=self._job.seed)
        self._network.to(self._job.device)

    def run(self, on_epoch: Callable[[Any], Any]) -> None:
        """Train all epochs."""
        from workers.training.trainer import train

        train(
            self._network,
            self._data,
            RECIPES[self._job.data],
            epochs=self._job.epochs,
            seed=self._job.seed,
            on_epoch=on_epoch,
        )

    def test_accuracy(self) -> float:
        import torch

        from workers.training.trainer import validate

        device = torch.device(self._job.device)
        data = replace(self._data.to(device), validation=self._test.to(device))
        return validate(self._network, data, RECIPES[self._job.data])[1]


class Side:
    """One side in a process of its own, told when it is its turn."""

    def __init__(self, side: str, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, side, job))
        self._process.start()

    def ask(self, what: str) -> Any:
        """Have something done and return what came of it."""
        self.send(what)
        return self.answer()

    def send(self, what: str) -> None:
        """Have something done."""
        self._pipe.send(what)

    def answer(self) -> Any:
        """Wait for what came of it."""
        return self._pipe.recv()

    def result(self) -> tuple[float, float]:
        """Return test accuracy and peak memory in MB, and end the process."""
        accuracy, peak = self.ask("result")
        self._process.join()
        return accuracy, peak


def serve(pipe: Connection, side: str, job: Job) -> None:
    """Train a candidate on one side: "start", then "epoch" for each of them, then "result".

    The first two are answered by the seconds that they took, the last by test accuracy and peak memory (MB).
    """
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    import torch

    torch.set_num_threads(job.threads)
    # That two loader processes share one core is the comparison, not a mistake.
    warnings.filterwarnings("ignore", message=".*worker processes in total.*")
    contender = Plain(job) if side == "plain" else Ours(job)
    pipe.recv()
    pipe.send(_seconds(contender.start))
    if isinstance(contender, Plain):
        while pipe.recv() == "epoch":
            pipe.send(_seconds(contender.epoch))
    else:
        _by_turns(pipe, contender)
    pipe.send((contender.test_accuracy(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def train_at_once(pipe: Connection, job: Job, count: int) -> None:
    """Train so many candidates together, a thread each, and answer the seconds that all of them took."""
    import torch

    from search_spaces.modules import build
    from workers.crew import run_together
    from workers.devices import own_stream, resident
    from workers.training.trainer import train

    device = torch.device(job.device)
    data = resident(training_data(job.arrays)[0], device)
    architecture = NETWORKS[job.network](data.train.examples.shape[1:])

    def candidate(number: int) -> None:
        with own_stream(device):
            network = build(architecture, seed=number).to(device)
            recipe = RECIPES[job.data]
            train(network, data, recipe, epochs=job.epochs, seed=number, on_epoch=lambda report: "continue")

    # What the first candidate of a process prepares, such as the libraries' handles, does not count.
    candidate(0)
    pipe.send(_seconds(lambda: run_together(candidate, count, on_error=lambda: None)))


def _by_turns(pipe: Connection, contender: Ours) -> None:
    """Hold training up after each epoch until the next one is asked for."""
    pipe.recv()
    started = perf_counter()

    def on_epoch(report: Any) -> str:
        nonlocal started
        pipe.send(perf_counter() - started)
        goes_on = pipe.recv() == "epoch"
        started = perf_counter()
        return "continue" if goes_on else "stop"

    contender.run(on_epoch)


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started


def training_data(path: Path) -> tuple["TrainingData", "Part"]:
    """Return what is trained and looked at, and the test part."""
    from workers.data.arrays import TrainingData, resident_part, statistics

    arrays = np.load(path)
    train, validation, test = (
        resident_part(arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "validation", "test")
    )
    mean, deviation = statistics(train.examples)
    places = validation.labels.new_zeros(len(validation))
    return TrainingData(train, validation, mean, deviation, CLASSES, "", places), test
