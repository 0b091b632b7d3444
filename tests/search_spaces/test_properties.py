"""Analytic figures against the torch module, on random architectures of every family."""

from dataclasses import dataclass
from math import prod
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import Architecture, RandomTrial, analyse, families, lower
from search_spaces.modules.network import Network

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 96, 96), (1, 49, 10), (4, 40, 101), (1, 128), (6, 8192)]
PER_SHAPE = 250
SHAPE_PRESERVING = (
    nn.BatchNorm1d
    | nn.BatchNorm2d
    | nn.ReLU
    | nn.LeakyReLU
    | nn.ELU
    | nn.SiLU
    | nn.Hardswish
    | nn.GELU
    | nn.Dropout
)


@dataclass
class TorchCounts:
    """What torch itself says of a module; MACs follow from weights and output maps."""

    params: int
    buffers: int
    macs: int
    shapes: dict[str, tuple[int, ...]]


def count_with_torch(architecture: Architecture) -> TorchCounts:
    """Build on the meta device and run one example through: no memory, no arithmetic."""
    with torch.device("meta"):
        network = Network(lower(architecture)).eval()
    counts = TorchCounts(
        params=sum(parameter.numel() for parameter in network.parameters()),
        buffers=sum(buffer.numel() for buffer in network.buffers()),
        macs=0,
        shapes={},
    )
    for name, module in network.named_modules():
        _watch(name, module, counts)
    with torch.no_grad():
        logits = network(torch.empty(1, *architecture.input_shape, device="meta"))
    assert logits.shape == (1, architecture.classes)
    return counts


def _watch(name: str, module: nn.Module, counts: TorchCounts) -> None:
    def record(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        counts.shapes[name] = tuple(output.shape[1:])
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            counts.macs += output[0].numel() * prod(module.weight.shape[1:])

    if isinstance(module, SHAPE_PRESERVING):
        # The slowest part of a run on the meta device, and the one with nothing to find.
        module.__dict__["forward"] = lambda x: x
    module.register_forward_hook(record)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("family", families.names())
def test_analytic_figures_equal_those_of_the_torch_module(family: str, shape: tuple[int, ...]) -> None:
    space = families.get(family).space
    for seed in range(PER_SHAPE):
        architecture = space.sample(RandomTrial(seed), shape, 10)
        cost, torch_counts = analyse(architecture), count_with_torch(architecture)
        assert (cost.params, cost.buffers, cost.macs) == (
            torch_counts.params,
            torch_counts.buffers,
            torch_counts.macs,
        ), architecture.canonical_json()
        for layer in cost.layers:
            assert torch_counts.shapes[layer.name] == layer.output_shape, architecture.canonical_json()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("family", families.names())
def test_a_sample_survives_the_way_through_plain_data(family: str, shape: tuple[int, ...]) -> None:
    space = families.get(family).space
    for seed in range(50):
        architecture = space.sample(RandomTrial(seed), shape, 10)
        again = Architecture.from_dict(architecture.to_dict())
        assert again == architecture
        assert again.canonical_json() == architecture.canonical_json()
        assert again.hash == architecture.hash


def test_a_sample_trains_one_step() -> None:
    for family in families.names():
        for seed, shape in enumerate([(1, 28, 28), (2, 128), (1, 8, 12)]):
            architecture = families.get(family).space.sample(RandomTrial(seed), shape, 4)
            network = Network(lower(architecture))
            loss = nn.functional.cross_entropy(network(torch.rand(4, *shape)), torch.arange(4))
            torch.autograd.backward(loss)
            assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
