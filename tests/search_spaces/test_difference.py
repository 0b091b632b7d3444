"""Differences between networks, by stage, branch and field."""

from itertools import pairwise
from typing import Any

import pytest

from search_spaces import Architecture, RandomTrial, families
from search_spaces.difference import brief, difference, distance, words


def conv(channels: int = 16, kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **more}


def stage(*branches: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    channels = more.pop("channels", sum(branch[-1]["channels"] for branch in branches))
    return {"branches": list(branches), "channels": channels, "downsample": "max", **more}


def network(*stages: dict[str, Any], **head: Any) -> Architecture:
    data = {"input_shape": [1, 28, 28], "classes": 10, "stages": list(stages), "head": head}
    return Architecture.from_dict(data)


def said(old: Architecture, new: Architecture) -> list[tuple[str, str]]:
    return [(change.where, words(change)) for change in difference(old, new)]


def test_equal_networks_differ_in_nothing() -> None:
    one = network(stage([conv()], [conv(kernel=5)]))
    other = network(stage([conv(kernel=5)], [conv()]))
    assert difference(one, other) == ()
    assert distance(one, other) == 0


def test_a_branch_is_compared_with_the_one_it_resembles() -> None:
    # In canonical order the wider branch changes its place.
    old = network(stage([conv(16, 3)], [conv(32, 5)], channels=48))
    new = network(stage([conv(16, 7)], [conv(32, 5)], channels=48))
    (change,) = difference(old, new)
    assert (change.field, change.before, change.after) == ("kernel", "3×3", "7×7")
    assert change.before_at is not None
    assert change.before_at.startswith("/stages/0/branches/")


def test_a_stage_in_between_is_added_and_the_others_stay() -> None:
    first, last = stage([conv(16)]), stage([conv(64)])
    changes = difference(network(first, last), network(first, stage([conv(32, 5)]), last))
    assert [(change.where, change.field) for change in changes] == [("stage 2", "stage")]
    assert (changes[0].before_at, changes[0].after_at) == (None, "/stages/1")
    assert words(changes[0]).startswith("stage added: 32·5x5")


def test_stage_fields_head_and_operations_are_told_apart() -> None:
    old = network(stage([conv()], [conv(kernel=5)], fusion="add", channels=16), dense=[64])
    new = network(
        stage([conv()], [{"op": "depthwise_separable", "channels": 16, "kernel": 5}], fusion="concat"),
        dense=[],
    )
    assert said(old, new) == [
        ("stage 1, branch 2, operation 1", "operation 16·5x5 → 16·dw5x5"),
        ("stage 1", "channels 16 → 32"),
        ("stage 1", "fusion add → concat"),
        ("head", "dense 64 → none"),
    ]


def test_a_removed_branch_has_no_place_in_the_new_network() -> None:
    removed = difference(network(stage([conv()], [conv(kernel=5)])), network(stage([conv()])))
    assert [(change.field, change.after_at) for change in removed if change.field == "branch"] == [
        ("branch", None)
    ]


def test_equal_changes_of_a_stage_are_told_once() -> None:
    old = network(stage([conv(16)], [conv(16, 5)]))
    new = network(stage([conv(24)], [conv(24, 5)]))
    assert brief(difference(old, new)) == ["stage 1: channels 16 → 24 in 2 places"]


def test_channels_that_are_passed_on_are_no_change() -> None:
    pool = {"op": "pool", "kernel": 3}
    old = network(stage([conv(16)]), stage([pool, conv(32)]))
    new = network(stage([conv(24)]), stage([pool, conv(32)]))
    assert {change.where.split(", ")[0] for change in difference(old, new)} == {"stage 1"}


@pytest.mark.parametrize("family", ["multi_scale", "pyramidal", "two_conv_dense"])
def test_pointers_lead_to_what_differs_and_both_directions_agree(family: str) -> None:
    space = families.get(family).space
    networks = [space.sample(RandomTrial(seed), (1, 28, 28), 10) for seed in range(12)]
    for old, new in pairwise(networks):
        changes = difference(old, new)
        assert bool(changes) == (old != new)
        assert len(changes) == len(difference(new, old))
        for change in changes:
            for pointer, owner in ((change.before_at, old), (change.after_at, new)):
                holder: Any = owner.to_dict()
                *parts, last = (pointer or "/classes").split("/")[1:]
                for part in parts:
                    holder = holder[int(part) if part.isdigit() else part]
                # Fields at their default are left out of the data.
                assert isinstance(holder, dict) or int(last) < len(holder)
