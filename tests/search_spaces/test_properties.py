"""Analysis against torch modules, on random architectures; see also `benchmarks.exactness`."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces import Architecture, RandomTrial, analyse, families
from search_spaces.cost import graph_peak_bytes, layer_costs
from search_spaces.lowering import lower
from search_spaces.modules import build
from search_spaces.modules.inspection import differences, observe

SHAPES = (
    *((1, 128), (6, 700), (2, 37)),
    *((1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 49, 10), (2, 9, 5)),
    *((1, 12, 12, 12), (2, 9, 16, 7)),
)
every_family = pytest.mark.parametrize("family", families.names())
seeds = st.integers(0, 2**31 - 1)
shapes = st.sampled_from(SHAPES)


def sample(family: str, seed: int, shape: tuple[int, ...]) -> Architecture:
    return families.get(family).space.sample(RandomTrial(seed), shape, 10)


@every_family
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=seeds, shape=shapes)
def test_the_analysis_says_what_the_module_does(family: str, seed: int, shape: tuple[int, ...]) -> None:
    architecture = sample(family, seed, shape)
    assert list(differences(architecture)) == [], architecture.canonical_json()


@every_family
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=seeds, shape=shapes)
def test_totals_are_the_sums_of_the_layers(family: str, seed: int, shape: tuple[int, ...]) -> None:
    """Totals come from branches as a whole, layers from the graph: two ways to one result."""
    architecture = sample(family, seed, shape)
    cost, graph = analyse(architecture), lower(architecture)
    for name in ("params", "buffers", "macs", "elementwise"):
        assert getattr(cost, name) == sum(getattr(layer, name) for layer in cost.layers)
    assert cost.peak_activation_bytes == graph_peak_bytes(graph)
    last_map = [layer for layer in layer_costs(graph) if not layer.name.startswith("head.")][-1]
    assert cost.receptive_field == last_map.receptive_field


@every_family
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=seeds, shape=shapes)
def test_a_sample_survives_the_way_through_plain_data(family: str, seed: int, shape: tuple[int, ...]) -> None:
    architecture = sample(family, seed, shape)
    again = Architecture.from_dict(architecture.to_dict())
    assert again == architecture
    assert again.canonical_json() == architecture.canonical_json()
    assert again.hash == architecture.hash
    assert analyse(again) == analyse(architecture)


@every_family
def test_a_sample_builds_and_runs(family: str) -> None:
    for seed, shape in enumerate(SHAPES):
        assert observe(sample(family, seed, shape)).shapes["head.logits"] == (10,)


@every_family
@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 128), (1, 8, 12), (1, 8, 9, 10)], ids=str)
def test_a_sample_trains_one_step(family: str, shape: tuple[int, ...]) -> None:
    network = build(families.get(family).space.sample(RandomTrial(3), shape, 4), seed=0)
    loss = nn.functional.cross_entropy(network(torch.rand(4, *shape)), torch.arange(4))
    torch.autograd.backward(loss)
    gradients: list[Any] = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
