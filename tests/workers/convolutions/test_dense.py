"""Convolutions as a GPU trains them, here on the CPU: the same sums."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from search_spaces import Architecture
from search_spaces.modules import Network, build
from workers.training.checkpointing import Checkpointed
from workers.training.convolutions import dense_convolutions
from workers.training.convolutions.dense import MOST_GROWTH, _together


def conv(channels: int, kernel: Any = 3, groups: int = 1) -> list[dict[str, Any]]:
    return [{"op": "conv", "channels": channels, "kernel": kernel, "groups": groups}]


def network_of(*stages: dict[str, Any]) -> Network:
    return build(
        Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": list(stages)}), seed=0
    )


def several_kinds() -> Network:
    """A plain, a grouped, a depthwise, a strided and a large convolution, and one too wide to be dense."""
    branches = [conv(8), conv(8, 5, groups=4), [{"op": "depthwise_separable", "channels": 8, "kernel": 3}]]
    return network_of(
        {"branches": [conv(16, 7)], "channels": 16},
        {"branches": branches, "channels": 24, "downsample": "stride"},
        {"branches": [conv(2048, 3, groups=8)], "channels": 2048},
    )


def pyramids() -> Network:
    """Branches of one map: of several sizes and groups, oblong ones, some with a bias."""
    return network_of(
        {"branches": [conv(4, 3), conv(8, 5), conv(4, 1)], "channels": 16},
        {"branches": [conv(8, 3, groups=2), conv(8, 7, groups=4)], "channels": 16, "norm": "none"},
        {"branches": [conv(4, [3, 5]), conv(4, [5, 3])], "channels": 8, "downsample": "max"},
        {"branches": [conv(8, 3), conv(8, 5)], "channels": 8, "fusion": "add"},
    )


NETWORKS = {"several kinds": several_kinds, "pyramids": pyramids}


def outcome(network: torch.nn.Module, call: Any = None) -> list[torch.Tensor]:
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network.zero_grad()
    logits = (call or network)(x)
    F.cross_entropy(logits, torch.arange(4)).backward()
    return [logits.detach(), *(one.grad for one in network.parameters() if one.grad is not None)]


def assert_close(some: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_outputs_and_gradients_are_those_of_the_plain_network(kind: str) -> None:
    network = NETWORKS[kind]()
    plain = outcome(network)
    names = list(network.state_dict())
    with dense_convolutions(network):
        assert any("forward" in vars(module) for module in network.modules())
        assert_close(outcome(network), plain)
    assert list(network.state_dict()) == names
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_pass_takes_the_weights_of_its_time(kind: str) -> None:
    network = NETWORKS[kind]()
    with dense_convolutions(network):
        outcome(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)
        dense = outcome(network)
    assert_close(dense, outcome(network))


def test_a_pass_that_was_interrupted_leaves_nothing_behind() -> None:
    network = pyramids()
    # Weights and outputs of what follows wait when this one fails.
    third = network.get_submodule("stage1.branch3.conv1")
    with dense_convolutions(network):
        whole, third.forward = third.forward, lambda _: 1 / 0
        with pytest.raises(ZeroDivisionError):
            outcome(network)
        third.forward = whole
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)
        dense = outcome(network)
    assert_close(dense, outcome(network))


@pytest.mark.parametrize("kind", NETWORKS)
def test_stages_that_are_computed_again_give_the_same(kind: str) -> None:
    network = NETWORKS[kind]()
    plain = outcome(network)
    with dense_convolutions(network, is_recomputed=True):
        assert_close(outcome(network, Checkpointed(network)), plain)


def test_branches_of_one_map_are_computed_as_one() -> None:
    names = [[name for name, _ in blocks(network)] for network in (pyramids(), several_kinds())]
    assert names == [
        [
            ["stage1.branch1.conv1", "stage1.branch2.conv1", "stage1.branch3.conv1"],
            ["stage2.branch1.conv1", "stage2.branch2.conv1"],
            ["stage3.branch1.conv1", "stage3.branch2.conv1"],
            ["stage4.branch1.conv1", "stage4.branch2.conv1"],
        ],
        [
            ["stage1.branch1.conv1"],
            # The first reads the stage's input as the others do, in groups of one channel.
            [
                "stage2.branch3.depthwise_separable1.depthwise",
                "stage2.branch1.conv1",
                "stage2.branch2.conv1",
            ],
            ["stage2.branch3.depthwise_separable1.pointwise"],
            ["stage3.branch1.conv1"],
        ],
    ]
    # In its groups still: dense it would have 6 million weights.
    assert [shape for _, shape in blocks(several_kinds())][-1] == (2048, 3, 3, 3)


def blocks(network: Network) -> list[tuple[list[str], tuple[int, ...]]]:
    return [
        ([network.graph.nodes[index].name for index in nodes], block.shape)
        for nodes, block in _together(network)
    ]


def test_convolutions_that_stay_in_groups_are_not_merged() -> None:
    wide = {"branches": [conv(400, 1, groups=8)] * 2, "channels": 400, "fusion": "add"}
    assert [shape for _, shape in blocks(network_of({"branches": [conv(400)], "channels": 400}, wide))] == [
        (400, 1, 3, 3),
        (400, 50, 1, 1),
        (400, 50, 1, 1),
    ]


def test_branches_stay_apart_where_one_would_grow_too_much() -> None:
    # As one, the many 1x1 convolutions would be 9x9 ones.
    network = network_of({"branches": [conv(60, 1), conv(4, 9)], "channels": 64})
    assert MOST_GROWTH * (60 + 4 * 81) < 64 * 81
    assert len(blocks(network)) == 2
    # And 128 channels of 7x7 for each of 128 would be too many weights.
    large = network_of(
        {"branches": [conv(128, 1)], "channels": 128}, {"branches": [conv(64, 7)] * 2, "channels": 128}
    )
    assert len(blocks(large)) == 3


def test_a_mixed_precision_stays_one() -> None:
    network = pyramids()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = network(x)
        with dense_convolutions(network):
            dense = network(x)
    assert dense.dtype == plain.dtype
    assert torch.allclose(dense.float(), plain.float(), rtol=0.1, atol=0.1)


def test_nothing_goes_back_into_frozen_stages() -> None:
    network = pyramids()
    # Of the second stage's convolutions, which are computed as one, the other goes on learning.
    frozen = [
        *network.get_submodule("stage1").parameters(),
        network.get_submodule("stage2.branch1.conv1").weight,
    ]
    for parameter in frozen:
        parameter.requires_grad_(requires_grad=False)
    plain = outcome(network)
    seen = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: seen.update({name: output.requires_grad})

    for stage in ("stage1", "stage2"):
        network.get_submodule(f"{stage}.branch2.conv1").register_forward_hook(keep(stage))
    with dense_convolutions(network):
        assert_close(outcome(network), plain)
    assert seen == {"stage1": False, "stage2": True}


def test_a_map_that_something_else_reads_too_is_its_own() -> None:
    # Of the two convolutions only the larger one's output is read by a second one.
    stages = [
        {
            "branches": [conv(4, 3), [{"op": "conv", "channels": 4, "kernel": 5}, *conv(4, 3)]],
            "channels": 8,
        },
        {"branches": [conv(4, 3), conv(4, 5)], "channels": 8, "fusion": "concat_project"},
    ]
    network = network_of(*stages)
    assert [len(names) for names, _ in blocks(network)] == [2, 1, 2, 1]
    plain = outcome(network)
    with dense_convolutions(network):
        assert_close(outcome(network), plain)


def test_another_network_is_left_alone() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 5, groups=8))
    with dense_convolutions(network):
        assert "forward" not in vars(network[0])
