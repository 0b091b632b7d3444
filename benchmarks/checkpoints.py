"""What a checkpoint costs beside an epoch: copying the state, and storing it through the ledger.

Networks of a few sizes train on the digits and on 12,000 drawn images of 28x28, on one thread; each epoch's
state is copied, as always, and stored, as at a rung: file, artifact and the trial's row in SQLite.

    python -m benchmarks.checkpoints
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import nn

from benchmarks.report import conditions, print_table, write
from nas_service.datasets import Dataset, digits
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Recipe, StudySpec
from nas_service.trials import Checkpoint, EpochReport, Instruction, Lease, Proposal, WorkerInfo
from search_spaces import Architecture, RandomTrial, resolve_space
from search_spaces.modules import build
from workers.data.arrays import TrainingData, training_data
from workers.state_file import Identity, read_state, write_state
from workers.training.optimisation import make_optimizer
from workers.training.state import Parts, TrainingState, Uninterrupted
from workers.training.trainer import train

SEEDS = (1, 2, 3)
EPOCHS = 6
IDENTITY = Identity("a" * 64, "b" * 64)


@dataclass(frozen=True)
class Cost:
    """Medians over the epochs of one network."""

    data: str
    optimizer: str
    params: int
    epoch_ms: float
    copy_ms: float
    store_ms: float
    read_ms: float
    kilobytes: float


class Storing(Uninterrupted):
    """Stores every state under a real lease, and times that."""

    def __init__(self, ledger: SqlLedger, lease: Lease) -> None:
        self._ledger, self._lease = ledger, lease
        self.store_s: list[float] = []
        self.read_s: list[float] = []
        self.size = 0

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        started = perf_counter()
        content = write_state(state, IDENTITY, 1)
        sha256 = self._ledger.put_artifact(content)
        self._ledger.checkpoint(self._lease, Checkpoint(epoch=state.epoch, sha256=sha256))
        stored = perf_counter()
        read_state(self._ledger.fetch_artifact(sha256).read_bytes(), IDENTITY)
        self.store_s.append(stored - started)
        self.read_s.append(perf_counter() - stored)
        self.size = len(content)


def architecture(data: TrainingData, seed: int) -> Architecture:
    """Return a drawn architecture for the data."""
    shape = tuple(data.train.examples.shape[1:])
    return resolve_space("multi_scale").sample(RandomTrial(seed), shape, data.classes)


def images() -> Dataset:
    """Return 14,400 drawn images, of which 12,000 stay after the test part and 10,000 are trained."""
    examples = np.random.default_rng(0).integers(0, 256, (14_400, 1, 28, 28), dtype=np.uint8)
    return Dataset("drawn", examples, np.arange(14_400) % 10, None, None, tuple("0123456789"))


def cost(name: str, data: TrainingData, recipe: Recipe, seed: int, storing: Storing) -> Cost:
    """Train a network and return what its checkpoints cost."""
    network = build(architecture(data, seed), seed=seed)
    epochs_s: list[float] = []

    def told(report: EpochReport) -> Instruction:
        epochs_s.append(report.seconds)
        return "continue"

    train(network, data, recipe, epochs=EPOCHS, seed=seed, on_epoch=told, continuity=storing)
    return Cost(
        data=name,
        optimizer=recipe.optimizer,
        params=sum(parameter.numel() for parameter in network.parameters()),
        # The first epoch also finds the fastest forms.
        epoch_ms=1e3 * median(epochs_s[1:]),
        copy_ms=1e3 * median(copies_s(network, recipe)),
        store_ms=1e3 * median(storing.store_s),
        read_ms=1e3 * median(storing.read_s),
        kilobytes=storing.size / 1e3,
    )


def copies_s(network: nn.Module, recipe: Recipe) -> list[float]:
    """Time copies of everything that a step changes."""
    optimizer = make_optimizer(network, recipe)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    parts = Parts(network, optimizer, {"batches": torch.Generator(), "dropout": torch.Generator()}, 0)
    seconds = []
    for _ in range(20):
        started = perf_counter()
        parts.tensors()
        seconds.append(perf_counter() - started)
    return seconds


def lease_on(service: Service, ledger: SqlLedger) -> Lease:
    """Return the lease of a trial that nobody else works on."""
    study = service.create_study(StudySpec(dataset="digits", budget=Budget(trials=1))).study
    network = resolve_space("multi_scale").sample(RandomTrial(0), (1, 8, 8), 10)
    proposal = Proposal(
        params={},
        distributions={},
        architecture=network.to_dict(),
        architecture_hash=network.hash,
        costs={},
    )
    worker = ledger.register(WorkerInfo(name="measured", host="here", pid=1)).worker_id
    return ledger.reserve(study, worker, [proposal]).leases[0]


def main() -> None:
    """Measure, print and keep the figures."""
    torch.set_num_threads(1)
    sets = {"digits": training_data(digits(), 1 / 6, 0), "28x28": training_data(images(), 1 / 6, 0)}
    costs: list[Cost] = []
    for name, data in sets.items():
        for optimizer in ("sgd", "adamw"):
            recipe = Recipe.model_validate({"optimizer": optimizer, "learning_rate": 0.01})
            for seed in SEEDS:
                with tempfile.TemporaryDirectory() as folder:
                    service = Service.open(Settings(home=Path(folder), database_url=None))
                    ledger = SqlLedger(service.engine, settings=service.settings)
                    storing = Storing(ledger, lease_on(service, ledger))
                    costs.append(cost(name, data, recipe, seed, storing))
                    service.close()
    headers = ["data", "optimiser", "params", "epoch ms", "copy ms", "store ms", "read ms", "kB"]
    rows = [
        [row.data, row.optimizer, str(row.params)]
        + [f"{value:.1f}" for value in (row.epoch_ms, row.copy_ms, row.store_ms, row.read_ms, row.kilobytes)]
        for row in costs
    ]
    print_table(headers, rows)
    write("checkpoints", {**conditions("torch", "safetensors"), "costs": [asdict(row) for row in costs]})


if __name__ == "__main__":
    main()
