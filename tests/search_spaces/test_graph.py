"""Lowering: which layers stand where, under which names, and who reads whom."""

from typing import Any

import pytest

from search_spaces import Architecture, Graph, lower
from search_spaces.graph import INPUT


def conv(channels: int, kernel: Any = 3) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel}


def graph_of(head: dict[str, Any] | None = None, **stage: Any) -> Graph:
    first = {"branches": [[conv(8)]], "channels": 8, **stage}
    data = {"input_shape": [4, 8, 8], "classes": 3, "stages": [first], "head": head or {}}
    return lower(Architecture.from_dict(data))


def stage_names(**stage: Any) -> list[str]:
    """Return the names behind "stage1." in execution order."""
    names = [node.name for node in graph_of(**stage).nodes]
    return [name.removeprefix("stage1.") for name in names if name.startswith("stage1.")]


def test_pooling_stands_before_the_norm_unless_it_is_said() -> None:
    assert stage_names(downsample="max") == ["branch1.conv1", "pool", "norm", "activation"]
    late = stage_names(downsample="max", pool_position="after_activation")
    assert late == ["branch1.conv1", "norm", "activation", "pool"]


def test_without_a_norm_none_is_there() -> None:
    assert stage_names(norm="none", downsample="stride") == ["branch1.conv1", "activation"]


def test_linear_branches_are_normalised_once_behind_the_fusion() -> None:
    two = [[conv(8, 3), conv(8, 5)], [conv(8, 7)]]
    assert stage_names(branches=two, fusion="add") == [
        "branch1.conv1",
        "branch1.conv2",
        "branch2.conv1",
        "add",
        "norm",
        "activation",
    ]


def test_active_branches_are_normalised_behind_each_operation() -> None:
    two = [[conv(8, 3), conv(8, 5)], [conv(8, 7)]]
    assert stage_names(branches=two, fusion="add", branch_activation=True) == [
        "branch1.conv1",
        "branch1.norm1",
        "branch1.activation1",
        "branch1.conv2",
        "branch1.norm2",
        "branch1.activation2",
        "branch2.conv1",
        "branch2.norm1",
        "branch2.activation1",
        "add",
    ]


def test_a_projection_behind_active_branches_is_normalised_too() -> None:
    names = stage_names(
        branches=[[conv(8, 3)], [conv(8, 5)]], fusion="concat_project", branch_activation=True
    )
    assert names[-4:] == ["concat", "project", "norm", "activation"]


@pytest.mark.parametrize("fusion", ["add", "weighted"])
def test_only_a_branch_of_another_width_is_projected(fusion: str) -> None:
    # The narrower branch sorts first.
    names = stage_names(branches=[[conv(8, 3)], [conv(6, 5)]], fusion=fusion)
    assert [name for name in names if "project" in name] == ["branch1.project"]
    assert fusion in names


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ({"branches": [[conv(4)]], "channels": 4}, []),
        ({}, ["shortcut.project", "shortcut.norm"]),
        ({"norm": "none"}, ["shortcut.project"]),
        (
            {"branches": [[conv(4)]], "channels": 4, "downsample": "stride"},
            ["shortcut.project", "shortcut.norm"],
        ),
        ({"branches": [[conv(4)]], "channels": 4, "downsample": "avg"}, ["shortcut.pool"]),
        (
            {
                "branches": [[conv(4)]],
                "channels": 4,
                "downsample": "avg",
                "pool_position": "after_activation",
            },
            [],
        ),
    ],
)
def test_a_shortcut_is_brought_to_the_shape_it_is_added_to(
    stage: dict[str, Any], expected: list[str]
) -> None:
    names = stage_names(connection="residual", **stage)
    assert [name for name in names if name.startswith("shortcut")] == expected


def test_the_gate_acts_before_the_shortcut_is_added() -> None:
    names = stage_names(connection="residual", attention=2, branches=[[conv(4)]], channels=4)
    assert names == ["branch1.conv1", "norm", "attention", "residual", "activation"]


def test_a_head_with_dense_layers_drops_behind_each() -> None:
    names = [node.name for node in graph_of(head={"dense": [6, 5], "dropout": 0.5}).nodes]
    assert [name.removeprefix("head.") for name in names if name.startswith("head.")] == [
        "pool",
        "dense1",
        "activation1",
        "dropout1",
        "dense2",
        "activation2",
        "dropout2",
        "logits",
    ]


def test_each_layer_reads_only_what_ran_before(each_description: dict[str, Any]) -> None:
    graph = lower(Architecture.from_dict(each_description))
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)
    for index, node in enumerate(graph.nodes):
        assert all(INPUT <= source < index for source in node.inputs)
    assert graph.nodes[-1].shape == (4,)


def test_the_last_reader_of_a_map_is_known() -> None:
    graph = graph_of(branches=[[conv(4)], [conv(4, 5)]], channels=4, fusion="add")
    names = [node.name for node in graph.nodes]
    last = {name: names[reader] for name, reader in zip(names, graph.last_uses(), strict=True)}
    assert last["stage1.branch1.conv1"] == "stage1.add"
    assert last["head.logits"] == "head.logits"
