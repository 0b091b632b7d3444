"""Every value of a recipe trains a network on real data: the loss on the same examples falls in one epoch."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from torch import nn

from nas_service.datasets import Dataset, load_dataset, read_dataset, save_dataset
from nas_service.metrics import METRICS, QUALITIES
from nas_service.studies import Augmentation, Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData, training_data
from workers.training.batches import epoch_batches, normalised
from workers.training.losses import training_loss
from workers.training.metrics import quality_metrics
from workers.training.trainer import predictions, train

# Rates at which these optimisers are commonly started on small networks.
RATES = {"sgd": 0.1, "adam": 0.01, "adamw": 0.01, "rmsprop": 0.002, "adagrad": 0.05}
CHOICES = ("initialisation", "optimizer", "schedule", "loss", "normalisation")
ROWS: list[dict[str, Any]] = [
    *({name: value} for name in CHOICES for value in get_args(Recipe.model_fields[name].annotation)),
    *({"decoupled_weight_decay": True, "optimizer": name} for name in RATES),
    {"weight_decay": 0.0},
    {"momentum": 0.0},
    {"momentum": 0.5, "optimizer": "rmsprop"},
    {"batch_size": 32},
    {"label_smoothing": 0.0},
    {"label_smoothing": 0.1, "loss": "binary_cross_entropy"},
    {"label_smoothing": 0.1, "loss": "focal"},
    {"focal_gamma": 0.5, "loss": "focal"},
    {"dropout": 0.2},
    {"precision": "bf16"},
    {"checkpointing": True},
    {"deterministic": True},
]
IMAGE_ROWS: list[dict[str, Any]] = [
    {"crop_padding": 1},
    {"horizontal_flip": True},
    {"brightness": 0.4},
    {"contrast": 0.4},
    {"cutout": 3},
    {"noise": 0.2},
]
SPECTROGRAM_ROWS: list[dict[str, Any]] = [
    {"time_mask": 16},
    {"frequency_mask": 8},
    {"time_mask": 8, "frequency_mask": 4, "masks": 2},
]
SIGNAL_ROWS: list[dict[str, Any]] = [
    {"shift": 200},
    {"shift": 200, "shift_fill": "zero"},
    {"noise": 0.1},
]
VOLUME_ROWS: list[dict[str, Any]] = [
    {},
    {"crop_padding": 1},
    {"horizontal_flip": True, "brightness": 0.2, "contrast": 0.2, "cutout": 4, "noise": 0.1},
]


def name_of(row: dict[str, Any]) -> str:
    return "-".join(f"{name}={value}" for name, value in row.items()) or "plain"


def recipe_of(row: dict[str, Any], **augmentation: Any) -> Recipe:
    rate = RATES[row.get("optimizer", "sgd")]
    plain = {"precision": "fp32", "learning_rate": rate, "batch_size": 64}
    return Recipe(**(plain | row), augmentation=Augmentation(**augmentation))


def network_for(data: TrainingData, recipe: Recipe, kernel: int = 3) -> nn.Module:
    stage = {
        "branches": [[{"op": "conv", "channels": 8, "kernel": size}] for size in (kernel, kernel + 2)],
        "channels": 16,
        "downsample": "max",
    }
    shape = list(data.train.examples.shape[1:])
    described = {"input_shape": shape, "classes": data.classes, "stages": [stage, stage]}
    return build(Architecture.from_dict(described), seed=0, initialisation=recipe.initialisation)


@torch.no_grad()
def loss_of(network: nn.Module, data: TrainingData, recipe: Recipe) -> float:
    """Return the recipe's loss on the whole training part, normalised as in training."""
    examples = normalised(data.train.examples, data, recipe.normalisation)
    return float(training_loss(deepcopy(network).train()(examples), data.train.labels, recipe))


def assert_loss_falls(network: nn.Module, data: TrainingData, recipe: Recipe) -> None:
    before = loss_of(network, data, recipe)
    train(network, data, recipe, epochs=1, seed=0, on_epoch=lambda report: "continue")
    assert loss_of(network, data, recipe) < 0.95 * before


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_recipe_trains_digits(row: dict[str, Any], digits_data: TrainingData) -> None:
    recipe = recipe_of(row)
    assert_loss_falls(network_for(digits_data, recipe), digits_data, recipe)


@pytest.mark.parametrize("row", IMAGE_ROWS, ids=name_of)
def test_augmented_images_train(row: dict[str, Any], digits_data: TrainingData) -> None:
    recipe = recipe_of({}, **row)
    assert_loss_falls(network_for(digits_data, recipe), digits_data, recipe)


@pytest.mark.parametrize("row", SPECTROGRAM_ROWS, ids=name_of)
def test_masked_spectrograms_train(row: dict[str, Any], spectrograms: TrainingData) -> None:
    recipe = recipe_of({}, **row)
    assert_loss_falls(network_for(spectrograms, recipe), spectrograms, recipe)


@pytest.mark.parametrize("row", SIGNAL_ROWS, ids=name_of)
def test_shifted_signals_train(row: dict[str, Any], signals: TrainingData) -> None:
    recipe = recipe_of({"normalisation": "example", "batch_size": 16}, **row)
    assert_loss_falls(network_for(signals, recipe, kernel=9), signals, recipe)


@pytest.mark.parametrize("row", VOLUME_ROWS, ids=name_of)
def test_volumes_train(row: dict[str, Any], volumes: TrainingData) -> None:
    network = nn.Sequential(
        nn.Conv3d(1, 8, 3, bias=False),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(8, 16, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in network.children():
            if isinstance(layer, nn.Conv3d | nn.Linear):
                layer.reset_parameters()
    recipe = recipe_of({"label_smoothing": 0.0}, **row)
    assert_loss_falls(network, volumes, recipe)


def test_batches_of_volumes_have_their_channels_last_in_memory(volumes: TrainingData) -> None:
    generator = torch.Generator().manual_seed(0)
    for row in VOLUME_ROWS:
        batch, _ = next(epoch_batches(volumes, 8, Augmentation(**row), generator))
        assert batch.stride() == torch.empty(batch.shape, memory_format=torch.channels_last_3d).stride()


def test_every_field_of_a_recipe_has_a_row() -> None:
    varied = {name for row in ROWS for name in row}
    assert varied == Recipe.model_fields.keys() - {"augmentation", "learning_rate"}
    rows = (*IMAGE_ROWS, *SPECTROGRAM_ROWS, *SIGNAL_ROWS)
    assert {name for row in rows for name in row} == Augmentation.model_fields.keys()


def test_the_documented_recipe_names_every_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text()
    documented = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert documented.keys() == Recipe.model_fields.keys()
    assert Recipe.model_validate(documented | {"augmentation": {}}) == Recipe()
    assert Recipe.model_validate(documented).augmentation.unfit_fields(2) == {}
    assert all(f"`{name}`" in text for name in Augmentation.model_fields)


@pytest.fixture(scope="module")
def figures(digits_dataset: Dataset) -> tuple[dict[str, float], dict[str, float]]:
    """Every metric before and after one epoch on digits."""
    data, recipe = training_data(digits_dataset, 1 / 6, 0), recipe_of({})
    network = network_for(data, recipe)
    before = figures_of(network, data)
    train(network, data, recipe, epochs=1, seed=0, on_epoch=lambda report: "continue")
    return before, figures_of(network, data)


def figures_of(network: nn.Module, data: TrainingData) -> dict[str, float]:
    logits, labels = zip(*predictions(network, data), strict=True)
    return quality_metrics(torch.cat(logits), torch.cat(labels))


@pytest.mark.parametrize("metric", sorted(QUALITIES))
def test_training_improves_every_metric(
    metric: str, figures: tuple[dict[str, float], dict[str, float]]
) -> None:
    before, after = (values[metric] for values in figures)
    assert before < after if METRICS[metric].goal == "max" else after < before


@pytest.fixture
def spectrograms(shared_data: Callable[[str], Path]) -> TrainingData:
    """A fifth of the spoken digits as spectrograms (1, 32, 63)."""
    return part_of(read_dataset(shared_data("fsdd-logmel.npz")), every=5)


@pytest.fixture
def signals(shared_data: Callable[[str], Path]) -> TrainingData:
    """A fifth of the spoken digits as signals (1, 2048), at a quarter of their rate."""
    dataset = read_dataset(shared_data("fsdd-waveform.npz"))
    return part_of(replace(dataset, x_train=dataset.x_train[..., ::4]), every=5)


@pytest.fixture
def volumes(shared_data: Callable[[str], Path], tmp_path: Path) -> TrainingData:
    """A quarter of the adrenal glands, from the canonical file, at every second voxel: (1, 14, 14, 14)."""
    sha256 = save_dataset(read_dataset(shared_data("adrenalmnist3d.npz")), tmp_path)
    dataset = load_dataset(tmp_path / f"{sha256}.safetensors")
    assert dataset.input_shape == (1, 28, 28, 28)
    return part_of(replace(dataset, x_train=dataset.x_train[..., ::2, ::2, ::2]), every=4)


def part_of(dataset: Dataset, every: int) -> TrainingData:
    chosen = replace(dataset, x_train=dataset.x_train[::every], y_train=dataset.y_train[::every])
    return training_data(chosen, 1 / 6, 0)
