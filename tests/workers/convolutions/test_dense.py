"""Convolutions as a GPU trains them, here on the CPU: the same sums."""

import torch
from torch.nn import functional as F

from search_spaces import Architecture
from search_spaces.modules import build
from workers.training.convolutions import dense_convolutions


def several_kinds() -> Architecture:
    """A network with a plain, a grouped, a depthwise, a strided and a large convolution, and one too wide."""
    branches = [
        [{"op": "conv", "channels": 8, "kernel": 3}],
        [{"op": "conv", "channels": 8, "kernel": 5, "groups": 4}],
        [{"op": "depthwise_separable", "channels": 8, "kernel": 3}],
    ]
    stages = [
        {"branches": [[{"op": "conv", "channels": 16, "kernel": 7}]], "channels": 16},
        {"branches": branches, "channels": 24, "downsample": "stride"},
        {"branches": [[{"op": "conv", "channels": 2048, "kernel": 3, "groups": 8}]], "channels": 2048},
    ]
    return Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": stages})


def outcome(network: torch.nn.Module) -> list[torch.Tensor]:
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network.zero_grad()
    logits = network(x)
    F.cross_entropy(logits, torch.arange(4)).backward()
    return [logits.detach(), *(one.grad for one in network.parameters() if one.grad is not None)]


def test_outputs_and_gradients_are_those_of_the_plain_network() -> None:
    network = build(several_kinds(), seed=0)
    plain = outcome(network)
    names = list(network.state_dict())
    with dense_convolutions(network):
        changed = [module for module in network.modules() if "forward" in vars(module)]
        dense = outcome(network)
    # The 7x7 one, the grouped 5x5 one, the depthwise one; 2,048 channels out stay in their groups.
    assert len(changed) == 3
    assert list(network.state_dict()) == names
    assert not any("forward" in vars(module) for module in network.modules())
    assert len(dense) == len(plain)
    for ours, theirs in zip(dense, plain, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mixed_precision_stays_one() -> None:
    network = build(several_kinds(), seed=0)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = network(x)
        with dense_convolutions(network):
            dense = network(x)
    assert dense.dtype == plain.dtype
    assert torch.allclose(dense.float(), plain.float(), rtol=0.1, atol=0.1)


def test_another_network_is_left_alone() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 5, groups=8))
    with dense_convolutions(network):
        assert "forward" not in vars(network[0])
