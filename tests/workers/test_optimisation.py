"""Optimisers and schedules to the number."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from nas_service.studies import Recipe
from workers.training.optimisation import learning_rate, make_optimizer


def recipe_of(**changes: Any) -> Recipe:
    return Recipe.model_validate({"learning_rate": 0.5, **changes})


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0.0: 0.5, 0.5: 0.5, 1.0: 0.5}),
        ("step", {0.0: 0.5, 0.49: 0.5, 0.5: 0.05, 0.74: 0.05, 0.75: 0.005, 1.0: 0.005}),
        ("cosine", {0.0: 0.5, 0.25: 0.25 * (1 + 0.5**0.5), 0.5: 0.25, 1.0: 0.0}),
        ("one_cycle", {0.0: 0.05, 0.125: 0.275, 0.25: 0.5, 1.0: 0.0005}),
    ],
)
def test_schedules_pass_through_their_known_points(schedule: str, rates: dict[float, float]) -> None:
    recipe = recipe_of(schedule=schedule)
    for progress, rate in rates.items():
        assert learning_rate(recipe, progress) == pytest.approx(rate, abs=1e-12)


def stepped(gradient: float, **changes: Any) -> tuple[nn.Linear, torch.optim.Optimizer]:
    """Return a layer whose parameters were all 1 after one step along an even gradient."""
    layer = nn.Linear(3, 2)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer = make_optimizer(layer, recipe_of(**changes))
    optimizer.step()
    return layer, optimizer


@pytest.mark.parametrize(
    ("optimizer", "kind", "moved"),
    [
        # Nesterov's first step is (1 + momentum) x rate x gradient (Sutskever et al. 2013).
        ("sgd", torch.optim.SGD, 0.5 * 1.9 * 0.1),
        # The others scale the first gradient to one; RMSprop by the root of 1 - 0.99.
        ("adam", torch.optim.Adam, 0.5),
        ("adamw", torch.optim.AdamW, 0.5),
        ("rmsprop", torch.optim.RMSprop, 0.5 / 0.01**0.5),
        ("adagrad", torch.optim.Adagrad, 0.5),
    ],
)
def test_first_steps_are_as_published(
    optimizer: str, kind: type[torch.optim.Optimizer], moved: float
) -> None:
    layer, made = stepped(0.1, optimizer=optimizer, weight_decay=0.0)
    assert isinstance(made, kind)
    assert type(made).__name__ == kind.__name__
    for parameter in layer.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, 1 - moved), atol=1e-5)


def test_without_momentum_sgd_goes_straight_down() -> None:
    layer, _ = stepped(0.1, momentum=0.0, weight_decay=0.0)
    assert torch.allclose(layer.weight, torch.full_like(layer.weight, 0.95))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_decoupled_decay_shrinks_weights_by_rate_times_decay_and_no_biases(optimizer: str) -> None:
    layer, _ = stepped(0.0, optimizer=optimizer, weight_decay=0.1, decoupled_weight_decay=True)
    assert torch.allclose(layer.weight, torch.full_like(layer.weight, 1 - 0.5 * 0.1))
    assert torch.equal(layer.bias, torch.ones_like(layer.bias))


def test_coupled_decay_is_a_gradient_like_any_other() -> None:
    layer, _ = stepped(0.0, optimizer="adam", weight_decay=0.1)
    # Adam's first step is the rate, however small the gradient.
    assert torch.allclose(layer.weight, torch.full_like(layer.weight, 0.5), atol=1e-5)
    assert torch.equal(layer.bias, torch.ones_like(layer.bias))


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    optimizer = make_optimizer(layer, recipe_of())
    assert [group["params"] for group in optimizer.param_groups] == [[layer.bias]]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_steps_are_those_of_torchs_own_class_to_the_bit(optimizer: str) -> None:
    torch.manual_seed(0)
    ours = nn.Linear(5, 4)
    theirs = copy.deepcopy(ours)
    made = make_optimizer(ours, recipe_of(optimizer=optimizer, weight_decay=0.01))
    own = type(made).__mro__[1](**own_arguments(made, theirs))
    for _ in range(3):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        made.step()
        own.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    made.load_state_dict(own.state_dict())
    made.zero_grad()
    assert all(parameter.grad is None for parameter in ours.parameters())


def own_arguments(made: torch.optim.Optimizer, layer: nn.Linear) -> dict[str, Any]:
    """Return what makes the same optimiser of another layer."""
    groups = [
        {**group, "params": [parameter]}
        for group, parameter in zip(made.param_groups, layer.parameters(), strict=True)
    ]
    return {"params": groups, "lr": made.defaults["lr"]}
