"""A network trains with planned convolutions as it does without them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas_service.studies import Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData
from workers.training.convolutions import Plans, fast_convolutions
from workers.training.convolutions.case import Case, Form, Plan
from workers.training.trainer import train


class Fixed(Plans):
    """Gives every convolution its least plain form."""

    def plan(self, case: Case, precisions: Any) -> Plan:
        if case.is_depthwise:
            form = Form("grouped", case.groups, "fp32")
            return Plan(form, Form("reversed", case.groups, "fp32"), form)
        return Plan(Form("grouped", 1, "fp32"), Form("reversed", 1, "fp32"), Form("swapped", 1, "fp32"))


@pytest.fixture
def pyramid() -> Architecture:
    levels = [
        [{"op": "conv", "channels": 8, "kernel": 3}],
        [{"op": "conv", "channels": 8, "kernel": 5, "groups": 4}],
        [{"op": "depthwise_separable", "channels": 8, "kernel": 3}],
    ]
    stages = [
        {"branches": [[{"op": "conv", "channels": 16, "kernel": 3}]], "channels": 16},
        {"branches": levels, "channels": 24, "downsample": "max"},
    ]
    return Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": stages})


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 1, 8, 8, generator=generator)
    network.zero_grad()
    F.cross_entropy(network(x), torch.arange(4)).backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def test_gradients_are_those_of_the_plain_network(pyramid: Architecture) -> None:
    network = build(pyramid, seed=0)
    plain = gradients(network)
    with fast_convolutions(network, 4, is_bf16=False, plans=Fixed()):
        planned = gradients(network)
    assert planned.keys() == plain.keys()
    for name, gradient in plain.items():
        assert torch.allclose(planned[name], gradient, rtol=1e-4, atol=1e-5), name


def test_modules_are_as_before_afterwards(pyramid: Architecture) -> None:
    network = build(pyramid, seed=0)
    before = {name: module.forward for name, module in network.named_modules()}
    with fast_convolutions(network, 4, is_bf16=False, plans=Fixed()):
        assert any(module.forward != before[name] for name, module in network.named_modules())
    assert all(module.forward == before[name] for name, module in network.named_modules())


def test_inference_meanwhile_is_exact(pyramid: Architecture) -> None:
    network = build(pyramid, seed=0).eval()
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        alone = network(x)
        with fast_convolutions(network, 4, is_bf16=True, plans=Fixed()):
            assert torch.allclose(network(x), alone, rtol=1e-4, atol=1e-5)


def test_a_network_of_another_kind_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))
    with fast_convolutions(network, 4, is_bf16=False, plans=Fixed()):
        assert "forward" not in vars(network[0])


@pytest.mark.parametrize("row", [{}, {"checkpointing": True}, {"precision": "bf16"}])
def test_grouped_networks_learn(
    row: dict[str, Any], pyramid: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe(**{"precision": "fp32", **row})
    result = train(
        build(pyramid, seed=1), digits_data, recipe, epochs=12, seed=1, on_epoch=lambda report: "continue"
    )
    assert result.accuracy > 0.93


def test_deterministic_recipes_measure_nothing(
    pyramid: Architecture, digits_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.training.convolutions import plans

    monkeypatch.setattr(plans, "measured", None)
    recipe = Recipe(deterministic=True)
    train(build(pyramid, seed=1), digits_data, recipe, epochs=1, seed=1, on_epoch=lambda report: "continue")
