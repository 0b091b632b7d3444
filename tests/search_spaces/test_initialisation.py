"""Initial weights: their size, and biases of zero."""

import pytest
import torch
from torch import nn

from search_spaces.modules.initialisation import INITIALISATIONS, initialise

LAYERS = {
    1: lambda: nn.Conv1d(32, 64, 5),
    2: lambda: nn.Conv2d(32, 64, 3),
    3: lambda: nn.Conv3d(32, 64, 3),
    0: lambda: nn.Linear(288, 64),
}


def drawn(axes: int, initialisation: str, seed: int = 0) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        layer = LAYERS[axes]()
    initialise(layer, seed, initialisation)
    assert torch.count_nonzero(layer.bias) == 0
    weight: torch.Tensor = layer.weight.detach()
    return weight


@pytest.mark.parametrize("axes", LAYERS)
def test_he_normal_has_two_over_the_inputs_as_variance(axes: int) -> None:
    weight = drawn(axes, "he_normal")
    assert float(weight.var()) == pytest.approx(2 / weight[0].numel(), rel=0.05)


@pytest.mark.parametrize("axes", LAYERS)
def test_xavier_is_even_up_to_the_root_of_six_over_inputs_and_outputs(axes: int) -> None:
    weight = drawn(axes, "xavier")
    bound = (6 / (weight[0].numel() + weight[:, 0].numel())) ** 0.5
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert float(weight.var()) == pytest.approx(bound**2 / 3, rel=0.05)


@pytest.mark.parametrize("axes", LAYERS)
def test_orthogonal_filters_stand_at_right_angles(axes: int) -> None:
    filters = drawn(axes, "orthogonal").flatten(1)
    assert torch.allclose(filters @ filters.T, torch.eye(64), atol=1e-5)


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_equal_seeds_draw_equal_weights_and_leave_the_global_generator_alone(initialisation: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (drawn(2, initialisation, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_initialisation_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'dirac' is none of he_normal, xavier, orthogonal"):
        initialise(nn.Linear(2, 2), 0, "dirac")
