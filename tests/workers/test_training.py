"""Training: it learns, it repeats itself exactly, it says when it fails."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from nas_service.datasets import Dataset
from nas_service.studies import Augmentation, Recipe
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData, resident_part, statistics, training_data
from workers.training.augmentation import augmented
from workers.training.batches import epoch_batches, normalised
from workers.training.losses import chance_loss
from workers.training.optimisation import learning_rate
from workers.training.precision import uses_bf16
from workers.training.trainer import EXPLOSION, Diverged, train, validate


def go_on(report: EpochReport) -> Instruction:
    return "continue"


def test_a_small_network_learns_digits(multi_scale: Architecture, digits_data: TrainingData) -> None:
    reports: list[EpochReport] = []
    network = build(multi_scale, seed=1)
    result = train(
        network,
        digits_data,
        Recipe(),
        epochs=8,
        seed=1,
        on_epoch=lambda r: (reports.append(r), "continue")[1],  # type: ignore[return-value]
    )
    assert result.ending == "complete"
    assert result.accuracy > 0.95
    assert [report.epoch for report in reports] == list(range(1, 9))
    assert reports[-1].train_loss is not None
    assert reports[0].train_loss is not None
    assert reports[-1].train_loss < reports[0].train_loss
    assert validate(network, digits_data)[1] == result.accuracy


def test_deterministic_training_repeats_itself_to_the_bit(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    states = []
    for _ in range(2):
        network = build(multi_scale, seed=3)
        train(network, digits_data, Recipe(deterministic=True, dropout=0.1), epochs=2, seed=3, on_epoch=go_on)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_global_generator_is_left_alone(multi_scale: Architecture, digits_data: TrainingData) -> None:
    before = torch.random.get_rng_state()
    train(build(multi_scale, seed=1), digits_data, Recipe(), epochs=1, seed=5, on_epoch=go_on)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("instruction", "ending"), [("prune", "pruned"), ("stop", "stopped"), ("lost", "lost")]
)
def test_the_answer_to_an_epoch_ends_training(
    instruction: Instruction, ending: str, multi_scale: Architecture, digits_data: TrainingData
) -> None:
    result = train(
        build(multi_scale, seed=1),
        digits_data,
        Recipe(),
        epochs=5,
        seed=1,
        on_epoch=lambda report: instruction,
    )
    assert (result.ending, result.epochs) == (ending, 1)


def test_a_diverging_network_names_the_epoch(multi_scale: Architecture, digits_data: TrainingData) -> None:
    recipe = Recipe(learning_rate=10.0, schedule="constant", momentum=0.99)
    network = build(multi_scale, seed=1)
    with torch.no_grad():
        next(network.parameters()).fill_(float("inf"))
    with pytest.raises(Diverged, match="epoch 1"):
        train(network, digits_data, recipe, epochs=3, seed=1, on_epoch=go_on)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "focal"])
def test_a_loss_far_beyond_a_guess_counts_as_diverged_though_it_is_finite(
    loss: str, multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe.model_validate(
        {"loss": loss, "learning_rate": 1e-12, "precision": "fp32", "label_smoothing": 0.0}
    )
    chance = chance_loss(10, recipe)
    network = build(multi_scale, seed=1)
    with torch.no_grad():
        network.get_submodule("head.logits").weight.mul_(100 * EXPLOSION * chance)
    with pytest.raises(Diverged, match=r"diverged in epoch 1: the loss is \d"):
        train(network, digits_data, recipe, epochs=2, seed=1, on_epoch=go_on)


def test_the_loss_of_a_guess_is_known() -> None:
    assert chance_loss(10, Recipe()) == pytest.approx(math.log(10))
    assert chance_loss(10, Recipe(loss="binary_cross_entropy")) == pytest.approx(10 * math.log(2))
    focal = Recipe(loss="focal", focal_gamma=2.0)
    assert chance_loss(10, focal) == pytest.approx(0.81 * math.log(10))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_in_channels_last_memory_order(channels: int) -> None:
    data = images(channels)
    batch, _ = next(epoch_batches(data, 4, Augmentation(), torch.Generator().manual_seed(0)))
    assert batch.stride() == torch.empty(batch.shape, memory_format=torch.channels_last).stride()


def test_statistics_taken_piece_by_piece_are_those_of_the_whole() -> None:
    examples = torch.randint(0, 256, (1_000, 3, 4, 5), dtype=torch.uint8)
    mean, deviation = statistics(examples)
    whole = examples.double()
    assert torch.allclose(mean.flatten().double(), whole.mean((0, 2, 3)), rtol=1e-6)
    assert torch.allclose(deviation.flatten().double(), whole.std((0, 2, 3)), rtol=1e-6)
    assert mean.shape == deviation.shape == (3, 1, 1)


def test_normalised_training_examples_have_mean_zero_and_deviation_one(digits_data: TrainingData) -> None:
    batch = normalised(digits_data.train.examples, digits_data)
    assert batch.dtype == torch.float32
    assert float(batch.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(batch.std()) == pytest.approx(1.0, abs=1e-4)


def test_an_epoch_shows_each_example_at_most_once(digits_data: TrainingData) -> None:
    generator = torch.Generator().manual_seed(1)
    seen = torch.cat([x.flatten(1) for x, _ in epoch_batches(digits_data, 64, Augmentation(), generator)])
    assert len(torch.unique(seen, dim=0)) >= len(torch.unique(digits_data.train.examples, dim=0)) - 64


def test_crops_move_pixels_and_invent_none() -> None:
    batch = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).repeat(32, 1, 1, 1)
    moved = augmented(batch.clone(), Augmentation(crop_padding=2), torch.Generator().manual_seed(0))
    assert moved.shape == batch.shape
    assert not torch.equal(moved, batch)
    for example in moved:
        kept = example[example > 0]
        assert set(kept.tolist()) <= set(range(1, 65))
        assert len(kept) >= 36


def test_flips_mirror_half_of_a_batch() -> None:
    batch = torch.rand(8, 3, 4, 4)
    flipped = augmented(batch.clone(), Augmentation(horizontal_flip=True), torch.Generator())
    assert torch.equal(flipped[4:], batch[4:])
    assert torch.equal(flipped[:4], batch[:4].flip(-1))


def test_one_cycle_rises_then_falls_to_almost_nothing() -> None:
    recipe = Recipe(learning_rate=0.2)
    rates = [learning_rate(recipe, step / 100) for step in range(101)]
    assert max(rates) == pytest.approx(0.2, rel=1e-2)
    assert rates.index(max(rates)) == 25
    assert rates[-1] < 1e-3
    assert learning_rate(Recipe(schedule="constant", learning_rate=0.3), 0.7) == 0.3


def test_a_signal_is_trained_without_a_height(multi_scale: Architecture) -> None:
    stage = {"branches": [[{"op": "conv", "channels": 8, "kernel": 5}]], "channels": 8, "downsample": "max"}
    network = build(Architecture.from_dict({"input_shape": [1, 32], "classes": 2, "stages": [stage]}), seed=0)
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    tones = np.sin(np.arange(32)[None] * np.where(labels, 0.5, 1.5)[:, None] + generator.random((120, 1)) * 6)
    dataset = Dataset(
        "tones", tones[:, None].astype(np.float32), labels.astype(np.int64), None, None, ("a", "b")
    )
    result = train(network, training_data(dataset, 0.25, 0), Recipe(), epochs=10, seed=0, on_epoch=go_on)
    assert result.accuracy > 0.9


def images(channels: int) -> TrainingData:
    generator = np.random.default_rng(0)
    examples = generator.integers(0, 256, (40, channels, 8, 8), dtype=np.uint8)
    labels = (np.arange(40) % 2).astype(np.int64)
    return training_data(Dataset("noise", examples, labels, None, None, ("a", "b")), 0.25, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_by_example_each_has_mean_zero_and_deviation_one(channels: int) -> None:
    data = images(channels)
    examples = data.train.examples.clone()
    examples[0] = 7
    batch = normalised(examples, data, "example")
    assert torch.count_nonzero(batch[0]) == 0
    assert torch.allclose(batch.mean((1, 2, 3)), torch.zeros(len(batch)), atol=1e-5)
    assert torch.allclose(batch[1:].std((1, 2, 3), correction=0), torch.ones(len(batch) - 1))
    assert batch.stride() == torch.empty(batch.shape, memory_format=torch.channels_last).stride()


def test_validation_sees_examples_normalised_as_in_training(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    network = build(multi_scale, seed=1)
    own = validate(network, digits_data, Recipe(normalisation="example"))
    assert own != validate(network, digits_data)


def test_volumes_never_train_in_bf16_on_a_processor() -> None:
    short = Recipe(precision="bf16")
    assert [uses_bf16(short, axes, "cpu") for axes in (1, 2, 3)] == [True, True, False]
    assert uses_bf16(short, 3, "cuda")


@pytest.mark.parametrize("sides", [(9,), (5, 4), (3, 4, 5)])
def test_a_part_holds_its_examples_in_order_with_channels_last(sides: tuple[int, ...]) -> None:
    examples = np.random.default_rng(0).integers(0, 256, (200, 3, *sides), np.uint8)
    places = np.random.default_rng(1).permutation(200)[:150]
    part = resident_part(examples, np.arange(200), places)
    assert np.array_equal(part.examples.numpy(), examples[places])
    assert np.array_equal(part.labels.numpy(), places)
    assert part.examples.stride(1) == (1 if len(sides) > 1 else 9)
    assert np.array_equal(resident_part(examples, np.arange(200)).examples.numpy(), examples)


TRAINS = """
import sys
import torch

torch.set_num_threads(1)
from nas_service.datasets import digits
from nas_service.studies import Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import training_data
from workers.training.trainer import train

data = training_data(digits(), 0.2, 0)
stage = {"branches": [[{"op": "conv", "channels": 16, "kernel": 3}]], "channels": 16, "downsample": "max"}
network = build(Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": [stage]}), seed=0)
train(network, data, Recipe(), epochs=1, seed=0, on_epoch=lambda report: "continue")
sys.exit("torch._dynamo" in sys.modules)
"""


def test_training_does_not_load_the_compiler_of_torch() -> None:
    assert subprocess.run([sys.executable, "-c", TRAINS], check=False).returncode == 0
