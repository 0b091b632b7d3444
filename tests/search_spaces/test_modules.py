"""The torch module: names, initial weights, memory format, what it keeps and what it lets go."""

import copy
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import Architecture
from search_spaces.modules import build


def conv(channels: int, kernel: Any = 3) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel}


def describe(**stage: Any) -> Architecture:
    first = {"branches": [[conv(8, 3)], [conv(8, 5)]], "channels": 16, **stage}
    second = {"branches": [[{"op": "depthwise_separable", "channels": 8}]], "channels": 8}
    return Architecture.from_dict({"input_shape": [1, 12, 12], "classes": 3, "stages": [first, second]})


def test_names_in_the_state_say_where_they_belong() -> None:
    state = build(describe(fusion="weighted", connection="residual", attention=4)).state_dict()
    assert {
        "stage1.branch2.conv1.weight",
        "stage1.branch1.project.weight",
        "stage1.weighted.weight",
        "stage1.norm.running_mean",
        "stage1.attention.squeeze.weight",
        "stage1.shortcut.project.weight",
        "stage2.branch1.depthwise_separable1.depthwise.weight",
        "head.logits.bias",
    } <= set(state)


def test_the_text_of_a_network_shows_its_layers() -> None:
    text = repr(build(describe()))
    for part in ("stage1", "branch2", "conv1", "Conv2d(1, 8, kernel_size=(5, 5)", "head", "Linear"):
        assert part in text


def test_equal_seeds_build_equal_weights() -> None:
    architecture = describe()
    first, again, other = (build(architecture, seed=seed).state_dict() for seed in (1, 1, 2))
    name = "stage1.branch1.conv1.weight"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])


def test_without_a_seed_each_network_differs() -> None:
    name = "stage1.branch1.conv1.weight"
    first, other = (build(describe()).state_dict()[name] for _ in range(2))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("seed", [None, 7])
def test_building_leaves_the_global_generator_alone(seed: int | None) -> None:
    before = torch.get_rng_state()
    build(describe(), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_he_normal_and_biases_zero() -> None:
    stage = {"branches": [[conv(256)]], "channels": 256}
    data = {"input_shape": [64, 8], "classes": 10, "stages": [stage]}
    state = build(Architecture.from_dict(data), seed=0).state_dict()
    weight = state["stage1.branch1.conv1.weight"]
    assert weight.std().item() == pytest.approx((2 / (64 * 3)) ** 0.5, rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=0.002)
    assert not state["head.logits.bias"].any()


def test_learnt_weights_of_branches_are_equal_at_first() -> None:
    network = build(describe(fusion="weighted"), seed=0)
    merge = network.get_submodule("stage1.weighted")
    maps = [torch.full((1, 2, 3, 3), value) for value in (1.0, 4.0)]
    assert torch.allclose(merge(*maps), torch.full((1, 2, 3, 3), 2.5))


def test_every_network_learns_one_step(each_description: dict[str, Any]) -> None:
    architecture = Architecture.from_dict(each_description)
    network = build(architecture, seed=0)
    logits = network(torch.randn(4, *architecture.input_shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (4, 4)
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters()
    )


def test_maps_stay_in_the_memory_format_they_came_in() -> None:
    network = build(describe(attention=2, downsample="max", connection="residual"), seed=0)
    network = network.to(memory_format=torch.channels_last)
    wrong: list[str] = []

    def check(name: str) -> Any:
        def see(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            if output.dim() == 4 and not output.is_contiguous(memory_format=torch.channels_last):
                wrong.append(name)

        return see

    for name, module in network.named_modules():
        module.register_forward_hook(check(name))
    # One channel leaves the format open; a clone settles it.
    network(torch.rand(2, 1, 12, 12).clone(memory_format=torch.channels_last))
    assert wrong == []


def test_maps_are_let_go_after_their_last_reader() -> None:
    network = build(describe(branches=[[conv(8)], [conv(8, 5)]], fusion="add", channels=8), seed=0).eval()
    alive: list[weakref.ref[torch.Tensor]] = []
    for branch in ("branch1", "branch2"):
        network.get_submodule(f"stage1.{branch}.conv1").register_forward_hook(
            lambda _, __, output: alive.append(weakref.ref(output))
        )
    seen_at_end: list[bool] = []
    network.get_submodule("stage1.norm").register_forward_pre_hook(
        lambda _, __: seen_at_end.extend(reference() is not None for reference in alive)
    )
    with torch.no_grad():
        network(torch.rand(1, 1, 12, 12))
    assert seen_at_end == [False, False]


def test_a_copy_has_weights_of_its_own() -> None:
    network = build(describe(), seed=0).eval()
    other = copy.deepcopy(network)
    example = torch.rand(1, 1, 12, 12)
    with torch.no_grad():
        assert torch.equal(network(example), other(example))
        other.get_parameter("head.logits.bias").add_(1.0)
        assert torch.allclose(network(example) + 1.0, other(example))
