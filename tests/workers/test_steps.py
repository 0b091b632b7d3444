"""Steps as an accelerator takes them, here on the CPU, and what several threads share."""

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import torch

from nas_service.studies import Augmentation, Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData
from workers.training.captured_step import CapturedStep
from workers.training.determinism import deterministic_algorithms
from workers.training.optimisation import make_optimizer
from workers.training.regularisation import dropout_drawn_from
from workers.training.state import Parts, TrainingState
from workers.training.step import TrainingStep
from workers.training.steps import DeviceSteps
from workers.training.trainer import train, validate

BATCH = 64
AUGMENTED = Augmentation(crop_padding=1, noise=0.05)


@pytest.fixture
def dropping(multi_scale: Architecture) -> Architecture:
    head = {"dense": [16], "dropout": 0.2}
    return Architecture.from_dict({**multi_scale.to_dict(), "head": head})


def device_steps(network: torch.nn.Module, data: TrainingData, recipe: Recipe, seed: int) -> DeviceSteps:
    draws = torch.Generator().manual_seed(seed)
    optimizer = make_optimizer(network, recipe)
    step = TrainingStep(network, optimizer, recipe, axes=2, draws=draws)
    return DeviceSteps(step, optimizer, data, recipe, batch_size=BATCH, seed=seed, draws=draws)


def an_epoch(steps: DeviceSteps, data: TrainingData) -> torch.Tensor:
    return steps.epoch([0.05] * (len(data.train) // BATCH), lambda: None)


@pytest.mark.parametrize("normalisation", ["dataset", "example"])
def test_a_network_learns_digits_by_steps_that_stay_on_the_device(
    multi_scale: Architecture, digits_data: TrainingData, normalisation: str
) -> None:
    recipe = Recipe.model_validate({"augmentation": AUGMENTED, "normalisation": normalisation})
    network = build(multi_scale, seed=1)
    steps = device_steps(network, digits_data, recipe, 1)
    losses = []
    for _ in range(6):
        network.train()
        losses.append(float(an_epoch(steps, digits_data)))
    steps.close()
    assert losses[-1] < losses[0] / 2
    assert validate(network, digits_data, recipe)[1] > 0.93
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_network_is_freed_as_soon_as_its_training_ends(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    network = build(multi_scale, seed=1)
    network.train()
    weight = weakref.ref(next(network.parameters()))
    steps = device_steps(network, digits_data, Recipe(), 1)
    an_epoch(steps, digits_data)
    gc.collect()
    gc.disable()
    try:
        steps.close()
        del steps, network
        # Not by a collection some time: a GPU would be full by then.
        assert weight() is None
    finally:
        gc.enable()


def test_without_draws_host_and_device_steps_train_to_equal_bits(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe(deterministic=True, batch_size=64, schedule="constant", learning_rate=0.05)
    host, device = build(multi_scale, seed=1), build(multi_scale, seed=1)
    train(host, digits_data, recipe, epochs=1, seed=5, on_epoch=lambda report: "continue")
    device.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device.train()
    an_epoch(device_steps(device, digits_data, recipe, 5), digits_data)
    states = host.state_dict(), device.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_rate_on_the_device_trains_like_a_number(optimizer: str) -> None:
    weights = []
    for rate in (0.01, torch.tensor(0.5)):
        layer = torch.nn.Linear(3, 2, bias=False)
        torch.nn.init.ones_(layer.weight)
        recipe = Recipe.model_validate({"optimizer": optimizer, "learning_rate": 0.01})
        chosen = make_optimizer(layer, recipe)
        chosen.param_groups[0]["lr"] = rate
        if isinstance(rate, torch.Tensor):
            from workers.training.optimisation import set_learning_rate

            set_learning_rate(chosen, 0.01)
        for _ in range(3):
            chosen.zero_grad()
            layer(torch.tensor([[1.0, 2.0, 3.0]])).square().sum().backward()
            chosen.step()
        weights.append(layer.weight.detach().clone())
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(weights[0], torch.ones(2, 3), atol=1e-3)


def test_dropout_draws_what_the_global_generator_would_have_drawn() -> None:
    layer, x = torch.nn.Dropout(0.4), torch.rand(50, 7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = layer(x)
    with dropout_drawn_from(torch.Generator().manual_seed(3), layer):
        found = layer(x)
        assert torch.equal(layer.eval()(x), x)
    assert torch.equal(found, expected)
    assert "forward" not in vars(layer)


def test_on_a_cpu_every_step_runs_as_it_is() -> None:
    taken: list[int] = []
    step = CapturedStep(lambda: taken.append(1), [], torch.device("cpu"))
    for _ in range(6):
        step()
    step.close()
    assert (len(taken), step.is_captured) == (6, False)


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()


def test_candidates_in_several_threads_end_with_the_bits_they_have_alone(
    dropping: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe(deterministic=True, dropout=0.2, checkpointing=True)

    def state(seed: int) -> dict[str, torch.Tensor]:
        network = build(dropping, seed=seed)
        train(network, digits_data, recipe, epochs=1, seed=seed, on_epoch=lambda report: "continue")
        return network.state_dict()

    together: dict[int, dict[str, torch.Tensor]] = {}
    in_threads([lambda seed=seed: together.update({seed: state(seed)}) for seed in range(3)])  # type: ignore[misc]
    for seed in range(3):
        alone = state(seed)
        assert all(torch.equal(alone[name], together[seed][name]) for name in alone)


def test_the_switch_of_determinism_is_where_each_thread_needs_it_and_then_back() -> None:
    seen: list[tuple[bool, bool]] = []
    barrier = threading.Barrier(6)

    def hold(wanted: bool) -> None:
        barrier.wait(timeout=30)
        for _ in range(50):
            with deterministic_algorithms(wanted):
                seen.append((wanted, torch.are_deterministic_algorithms_enabled()))

    before = torch.are_deterministic_algorithms_enabled()
    in_threads([lambda wanted=number % 2 == 0: hold(wanted) for number in range(6)])  # type: ignore[misc]
    assert len(seen) == 300
    assert all(wanted == enabled for wanted, enabled in seen)
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_steps_on_the_device_go_on_from_a_state_to_equal_bits(
    optimizer: str, multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe.model_validate({"optimizer": optimizer, "deterministic": True, "augmentation": AUGMENTED})

    def begin(seed: int) -> tuple[DeviceSteps, Parts]:
        network = build(multi_scale, seed=1)
        network.train()
        draws = torch.Generator().manual_seed(seed)
        made = make_optimizer(network, recipe)
        # As on a GPU: all groups share one number that lies in the device's memory.
        rate = torch.tensor(0.01)
        for group in made.param_groups:
            group["lr"] = rate
        step = TrainingStep(network, made, recipe, axes=2, draws=draws)
        steps = DeviceSteps(step, made, digits_data, recipe, batch_size=BATCH, seed=seed, draws=draws)
        return steps, Parts(network, made, {"dropout": draws, **steps.generators}, seed)

    steps, parts = begin(5)
    count = len(digits_data.train) // BATCH
    steps.epoch([0.01] * count, lambda: None)
    state = TrainingState(epoch=1, tensors=parts.tensors())
    steps.epoch([0.02] * count, lambda: None)
    # Another seed: whatever is not put back shows.
    resumed, own = begin(6)
    own.restore(state)
    groups = own.optimizer.param_groups
    assert all(group["lr"] is groups[0]["lr"] for group in groups)
    resumed.epoch([0.02] * count, lambda: None)
    ours, theirs = own.tensors(), parts.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
