"""Parts add up to their network, and each branch sees exactly what gradients reach."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from search_spaces import Architecture, RandomTrial, analyse, resolve_space
from search_spaces.diagram import svg
from search_spaces.modules import build
from search_spaces.parts import parts


def test_parts_add_up_to_the_network(each_description: dict[str, Any]) -> None:
    architecture = Architecture.from_dict(each_description)
    cost, found = analyse(architecture), parts(architecture)
    assert sum(part.params for part in found) == cost.params
    assert sum(part.macs for part in found) == cost.macs
    assert found[-1].output_shape == (architecture.classes,)
    branches = [part for part in found if part.kind == "branch"]
    assert len(branches) == sum(len(stage.branches) for stage in architecture.stages)


def reached(architecture: Architecture, branch: str) -> tuple[int, ...] | None:
    """Measure what one position behind a branch depends on; positive weights let nothing cancel out."""
    network = build(architecture, seed=0)
    last = [node.name for node in network.graph.nodes if node.name.startswith(f"{branch}.")]
    if not last:
        return None
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    maps: list[torch.Tensor] = []
    network.get_submodule(last[-1]).register_forward_hook(lambda _, __, output: maps.append(output))
    example = torch.ones(1, *architecture.input_shape, requires_grad=True)
    network.eval()(example)
    centre = tuple(side // 2 for side in maps[0].shape[2:])
    maps[0][(0, slice(None), *centre)].sum().backward()
    assert example.grad is not None
    touched = example.grad[0].abs().sum(0).nonzero()
    return tuple((touched.amax(0) - touched.amin(0) + 1).tolist())


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_each_branch_sees_what_gradients_reach(seed: int) -> None:
    space = resolve_space({"family": "multi_scale", "override": {"tied": None, "stage": {"attention": None}}})
    drawn = space.sample(RandomTrial(seed), (2, 96, 96), 10)
    # Norms see the whole map, and a maximum passes gradients to one position alone.
    plain = [
        replace(stage, norm="none", downsample="avg" if stage.downsample == "max" else stage.downsample)
        for stage in drawn.stages[:2]
    ]
    architecture = Architecture((2, 96, 96), 10, tuple(plain))
    for part in parts(architecture):
        if part.kind == "branch" and "pool" not in part.label:
            assert part.receptive_field is not None
            assert part.receptive_field.largest == reached(architecture, part.name), part


def test_a_window_is_what_a_branch_sees_of_its_own_stage() -> None:
    stage = {
        "branches": [[{"op": "conv", "channels": 4, "kernel": 3}], [{"op": "identity"}]],
        "channels": 5,
        "downsample": "max",
    }
    second = {
        "branches": [[{"op": "conv", "channels": 4, "kernel": [3, 1], "dilation": 2}]],
        "channels": 4,
    }
    # Branches stand in their canonical order, the identity first.
    data = {"input_shape": [1, 16, 16], "classes": 2, "stages": [stage, second]}
    found = {part.name: part for part in parts(Architecture.from_dict(data))}
    windows = {name: part.window.largest for name, part in found.items() if part.window}
    assert windows == {"stage1.branch1": (1, 1), "stage1.branch2": (3, 3), "stage2.branch1": (5, 1)}
    # A step of the second stage is two of the input's, behind a pool that widens the first one's view by one.
    sees = found["stage2.branch1"].receptive_field
    assert sees is not None
    assert sees.largest == (4 + 2 * 4, 4)


def test_the_picture_names_each_share_and_what_each_branch_sees() -> None:
    architecture = resolve_space("two_conv_block").sample(RandomTrial(3), (1, 28, 28), 10)
    picture = svg(architecture, heat="macs")
    for part in parts(architecture):
        if part.kind == "branch":
            assert part.receptive_field is not None
            assert f"sees {'×'.join(map(str, part.receptive_field.largest))}<" in picture
            assert f"{100 * part.macs / analyse(architecture).macs:.0f} % of MACs" in picture
    assert "% of" not in svg(architecture)
