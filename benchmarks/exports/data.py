"""Real data of one, two and three axes, and the service and worker that the benchmarks share."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.trials import WorkerInfo
from nas_service.views import DatasetView
from workers.worker import Worker

DATA = ("signals", "spectrograms", "volumes")
Arrays = dict[str, NDArray[Any]]


def arrays_of(name: str, folder: Path, examples: int) -> Arrays:
    """Return one of `DATA` with at most so many training examples and the whole test part."""
    if name == "signals":
        return cut(np.load(folder / "fsdd-waveform.npz"), _averaged, examples)
    if name == "spectrograms":
        return cut(np.load(folder / "fsdd-logmel.npz"), lambda x: x, examples)
    volumes = np.load(folder / "adrenalmnist3d.npz")
    named = {
        f"{axis}_{part}": volumes[f"{part}_{kind}"]
        for part in ("train", "test")
        for axis, kind in (("x", "images"), ("y", "labels"))
    }
    return cut(named, _halved, examples)


def cut(arrays: Any, prepare: Callable[[NDArray[Any]], NDArray[Any]], examples: int) -> Arrays:
    """Return so many of the training examples, drawn by a fixed seed, and all test examples."""
    order = np.random.default_rng(0).permutation(len(arrays["x_train"]))[:examples]
    return {
        "x_train": prepare(arrays["x_train"][order]),
        "y_train": arrays["y_train"].reshape(-1)[order],
        "x_test": prepare(arrays["x_test"]),
        "y_test": arrays["y_test"].reshape(-1),
    }


def _averaged(signals: NDArray[Any]) -> NDArray[Any]:
    averaged: NDArray[Any] = signals.reshape(len(signals), 1, 2048, 4).mean(3)
    return averaged.astype(np.int16)


def _halved(volumes: NDArray[Any]) -> NDArray[Any]:
    blocks = volumes.reshape(len(volumes), 1, 14, 2, 14, 2, 14, 2)
    return np.asarray(blocks.max((3, 5, 7)))


def opened(folder: Path) -> Service:
    """Return a service whose data folder lies within a folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return Service.open(Settings(home=folder / "home", database_url=None))


def registered(service: Service, name: str, arrays: Arrays) -> DatasetView:
    """Register arrays as a data set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
        return service.add_dataset(path, name)


def work(service: Service, study: int) -> None:
    """Do a study's work in this process."""
    ledger = SqlLedger(service.engine, settings=service.settings)
    information = WorkerInfo(name="benchmark", host="here", pid=os.getpid())
    folder = service.settings.data_home / "spool"
    Worker(ledger, information, folder, study_id=study, until_finished=True).run()
