"""The two sides that `benchmarks.training` compares, each served by a process of its own."""

import multiprocessing
import os
import resource
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.networks import CLASSES, NETWORKS
from nas_service.studies import Augmentation, Recipe

if TYPE_CHECKING:
    import torch

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
    """The loop of a tutorial, its pictures in memory."""

    def __init__(self, job: Job) -> None:
        from benchmarks.plain_loop import Pictures, Transform

        self._job, augmentation = job, RECIPES[job.data].augmentation
        arrays, (data, _) = np.load(job.arrays), training_data(job.arrays)
        training = Transform(
            data.mean, data.deviation, augmentation.crop_padding, flips=augmentation.horizontal_flip
        )
        plain = Transform(data.mean, data.deviation, 0, flips=False)
        self._shape = data.train.examples.shape[1:]
        self._parts = {
            part: Pictures(arrays[f"x_{part}"], arrays[f"y_{part}"], training if part == "train" else plain)
            for part in ("train", "validation", "test")
        }

    def start(self) -> None:
        import torch

        from benchmarks.plain_loop import PlainLoop
        from search_spaces.modules import build

        job = self._job
        network = build(NETWORKS[job.network](self._shape), seed=job.seed)
        torch.manual_seed(job.seed)
        self._loop = PlainLoop(network, self._parts["train"], RECIPES[job.data], job.epochs, job.device)

    def epoch(self) -> None:
        """Train for an epoch and look at the validation part."""
        self._loop.train_epoch()
        self._loop.accuracy(self._parts["validation"])

    def test_accuracy(self) -> float:
        return self._loop.accuracy(self._parts["test"])


class Ours:
    """The worker's own training, held up after each epoch by its report; its data on the device."""

    def __init__(self, job: Job) -> None:
        import torch

        from workers.devices import resident
        from workers.memory import keep_freed_memory
        from workers.training.fused.apply import operation_of
        from workers.training.precision import uses_bf16

        # Once in a worker's life: how it keeps memory, which number format it trains in, and its kernels.
        keep_freed_memory()
        self._job, recipe = job, RECIPES[job.data]
        data, self._test = training_data(job.arrays)
        self._data = resident(data, torch.device(job.device))
        if uses_bf16(recipe, data.train.examples.dim() - 2, job.device):
            operation_of(self._data.device)

    def start(self) -> None:
        from search_spaces.modules import build

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
    """One side in a process of its own, told when it is its turn; it takes one job after the other."""

    def __init__(self, side: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, side))
        self._process.start()

    def begin(self, job: Job) -> float:
        """Prepare for a job's first epoch and return the seconds that it took, the data being read before."""
        self.send(job)
        return float(self.ask("start"))

    def ask(self, what: str) -> Any:
        """Have something done and return what came of it."""
        self.send(what)
        return self.answer()

    def send(self, what: object) -> None:
        """Have something done."""
        self._pipe.send(what)

    def answer(self) -> Any:
        """Wait for what came of it."""
        return self._pipe.recv()

    def result(self) -> tuple[float, float]:
        """Return test accuracy and the process's peak memory in MB: the job is done."""
        accuracy, peak = self.ask("result")
        return accuracy, peak

    def end(self) -> None:
        """End the process."""
        self.send(None)
        self._process.join()


def serve(pipe: Connection, side: str) -> None:
    """Train on one side: for each candidate a job, "start", "epoch" for each of them, and "result".

    Those in the middle are answered by the seconds that they took, the last by test accuracy and peak memory
    (MB). None instead of a job ends it.
    """
    # That two loader processes share one core is the comparison, not a mistake.
    warnings.filterwarnings("ignore", message=".*worker processes in total.*")
    while (job := pipe.recv()) is not None:
        _serve_one(pipe, side, job)


def _serve_one(pipe: Connection, side: str, job: Job) -> None:
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    _make_ready(job)
    contender = Plain(job) if side == "plain" else Ours(job)
    pipe.recv()
    pipe.send(_seconds(contender.start))
    if isinstance(contender, Plain):
        while pipe.recv() == "epoch":
            pipe.send(_seconds(contender.epoch))
    else:
        _by_turns(pipe, contender)
    pipe.send((contender.test_accuracy(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _make_ready(job: Job) -> None:
    """Load the libraries: what the first candidate of a process waits for is no part of any."""
    import torch

    for module in ("benchmarks.plain_loop", "search_spaces.modules", "workers.training.trainer"):
        import_module(module)
    torch.set_num_threads(job.threads)
    layer = torch.nn.Conv2d(8, 8, 3, device=job.device)
    # The first optimiser of a process loads torch's compiler, for a second or two.
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.zeros(8, 8, 8, 8, device=job.device)).sum().backward()
    optimizer.step()
    if job.device == "cuda":
        torch.cuda.synchronize()


def serve_together(pipe: Connection) -> None:
    """Train so many candidates together, a thread each, for each job and count: answer all their seconds."""
    while (order := pipe.recv()) is not None:
        pipe.send(_seconds_together(*order))


def _seconds_together(job: Job, count: int) -> float:
    import torch

    from search_spaces.modules import build
    from workers.crew import run_together
    from workers.devices import own_stream
    from workers.training.trainer import train

    _make_ready(job)
    device = torch.device(job.device)
    data = _resident(job.arrays, device)
    architecture = NETWORKS[job.network](data.train.examples.shape[1:])

    def candidate(number: int) -> None:
        with own_stream(device):
            network = build(architecture, seed=number).to(device)
            recipe = RECIPES[job.data]
            train(network, data, recipe, epochs=job.epochs, seed=number, on_epoch=lambda report: "continue")

    return _seconds(lambda: run_together(candidate, count, on_error=lambda: None))


@cache
def _resident(path: Path, device: "torch.device") -> "TrainingData":
    from workers.devices import resident

    return resident(training_data(path)[0], device)


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
