"""Small real data and networks."""

from pathlib import Path

import pytest
import torch

from nas_service.datasets import Dataset, digits
from search_spaces import Architecture
from workers.data.arrays import TrainingData, training_data


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what a worker writes out of the person's own data folder."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def digits_dataset() -> Dataset:
    return digits()


@pytest.fixture
def digits_data(digits_dataset: Dataset) -> TrainingData:
    return training_data(digits_dataset, 1 / 6, 0)


@pytest.fixture
def multi_scale() -> Architecture:
    """A two-stage network with two kernel sizes in each."""
    stage = {
        "branches": [
            [{"op": "conv", "channels": 16, "kernel": 3}],
            [{"op": "conv", "channels": 16, "kernel": 5}],
        ],
        "channels": 32,
        "downsample": "max",
    }
    return Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": [stage, stage]})
