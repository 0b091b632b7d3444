"""Descriptions: canonical, validated, and clear about what is wrong."""

import copy
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import Architecture, ArchitectureError, Branch, Head, Stage, analyse, operations

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def conv(channels: int, kernel: Any = 3, **fields: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **fields}


def describe(**stage: Any) -> dict[str, Any]:
    first = {"branches": [[conv(8, 3)], [conv(8, 5)]], "channels": 16, **stage}
    return {"input_shape": [4, 16, 16], "classes": 3, "stages": [first]}


def test_a_description_survives_the_round_trip() -> None:
    architecture = Architecture.from_dict(describe(fusion="concat", connection="residual", attention=4))
    assert Architecture.from_dict(architecture.to_dict()) == architecture


def test_equal_networks_are_equal_whatever_the_order_of_branches() -> None:
    one = Architecture.from_dict(describe(branches=[[conv(8, 3)], [conv(8, 5)]]))
    other = Architecture.from_dict(describe(branches=[[conv(8, 5)], [conv(8, [3, 3])]]))
    assert one == other
    assert one.hash == other.hash


@pytest.mark.parametrize(
    ("dead", "alive"),
    [
        ({"branches": [[conv(16, 1, dilation=3)]]}, {"branches": [[conv(16, 1)]]}),
        ({"branches": [[conv(16)]], "fusion": "add"}, {"branches": [[conv(16)]]}),
        ({"branches": [[conv(16)]], "branch_activation": True}, {"branches": [[conv(16)]]}),
        ({"pool_position": "after_activation"}, {}),
        (
            {"branches": [[conv(8, 1, dilation=1)], [conv(8, [1, 1], dilation=2)]]},
            {"branches": [[conv(8, 1)]] * 2},
        ),
        (
            {"branches": [[conv(6)]], "channels": 6, "attention": 16},
            {"branches": [[conv(6)]], "channels": 6, "attention": 4},
        ),
    ],
)
def test_fields_without_effect_do_not_tell_networks_apart(
    dead: dict[str, Any], alive: dict[str, Any]
) -> None:
    assert Architecture.from_dict(describe(**dead)).hash == Architecture.from_dict(describe(**alive)).hash


@pytest.mark.parametrize(("one", "other"), [(0, 0.0), (-0.0, 0.0)])
def test_numbers_written_differently_do_not_tell_networks_apart(one: float, other: float) -> None:
    first, second = (
        Architecture.from_dict({**describe(), "head": {"dropout": rate}}) for rate in (one, other)
    )
    assert first.hash == second.hash


def test_one_position_pools_and_flattens_alike() -> None:
    first, *others = (
        Architecture.from_dict(
            {**describe(downsample="avg"), "input_shape": [4, 2, 3], "head": {"pool": pool}}
        )
        for pool in ("avg", "max", "flatten")
    )
    assert {other.hash for other in others} == {first.hash}


def test_a_stride_on_one_position_matters_only_to_a_shortcut() -> None:
    hashes = [
        Architecture.from_dict(
            {**describe(downsample=downsample, connection=connection), "input_shape": [16, 1, 1]}
        ).hash
        for connection in ("none", "residual")
        for downsample in ("none", "stride")
    ]
    assert hashes[0] == hashes[1]
    assert hashes[2] != hashes[3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"branches": [[conv(8, 3, groups=3)]], "channels": 8},
            ["stage 1, branch 1", "groups", "3", "divisor"],
        ),
        ({"branches": [[conv(8, 4)]], "channels": 8}, ["kernel", "4", "odd"]),
        ({"channels": 17}, ["stage 1", "channels", "17", "16"]),
        ({"fusion": "sum"}, ["fusion", "sum", "add"]),
        ({"attention": 3}, ["attention", "3", "4"]),
        ({"activaton": "relu"}, ["activaton", "did you mean 'activation'"]),
        ({"branches": []}, ["branches", "1 to 4"]),
        ({"branches": [[{"op": "convolve", "channels": 8}]]}, ["convolve", "conv"]),
        ({"branches": [[{"op": "conv", "chanels": 8}]]}, ["chanels", "channels"]),
    ],
)
def test_a_broken_rule_is_named(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_dict(describe(**changes))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert caught.value.pointer.startswith("/stages")


@pytest.mark.parametrize(
    "shape", [[1], [1, 0], [1, 8, 8, 8, 8], ["1", 8], [True, 8], [1, 10**9], [4096, 16_384, 16_384], None]
)
def test_impossible_inputs_are_refused(shape: Any) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_dict({**describe(), "input_shape": shape})


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in plain data, its own first."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


FULL = {
    **describe(
        branches=[[conv(8, [3, 1], groups=2, dilation=2, bias=True)], [conv(8), conv(8, 5)]],
        fusion="concat",
        connection="residual",
        attention=4,
        norm="none",
        activation="elu",
        branch_activation=True,
        downsample="max",
        pool_position="after_activation",
    ),
    "head": {"pool": "max", "dense": [6, 7], "dropout": 0.5},
}


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def with_value(path: tuple[Any, ...], value: Any) -> Any:
    """Return the full description with one value replaced."""
    if not path:
        return value
    data = copy.deepcopy(FULL)
    at(data, path[:-1])[path[-1]] = value
    return data


def refused_in_one_line(data: Any) -> bool:
    """Whether a description is refused; anything but `ArchitectureError` goes on to the test."""
    message, pointer = None, ""
    try:
        analyse(Architecture.from_dict(data))
    except ArchitectureError as error:
        message, pointer = str(error), error.pointer
    assert message is None or (0 < len(message) < 600 and "\n" not in message)
    # What no UTF-8 can hold would break the answer that carries it.
    pointer.encode()
    return message is not None


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(places(FULL)), junk=JSON)
def test_junk_anywhere_is_refused_in_one_line_or_accepted(path: tuple[Any, ...], junk: Any) -> None:
    refused_in_one_line(with_value(path, junk))


@settings(max_examples=200, deadline=None)
@given(
    path=st.sampled_from([path for path in places(FULL) if isinstance(at(FULL, path), dict)]),
    name=st.text(max_size=6) | st.integers() | st.sampled_from(["kind", "self", "\ud800", "a/b~c"]),
)
def test_an_unknown_key_anywhere_is_refused(path: tuple[Any, ...], name: Any) -> None:
    data = copy.deepcopy(FULL)
    assume(name not in at(data, path))
    at(data, path)[name] = 1
    assert refused_in_one_line(data)


def nested(depth: int) -> Any:
    inside: Any = []
    for _ in range(depth):
        inside = [inside]
    return inside


HUGE = 10**5_000
HOSTILE = {
    "a huge number": HUGE,
    "a huge negative number": -HUGE,
    "a deep list": nested(50_000),
    "a list of a deep list": [3, nested(50_000)],
    "a deep mapping": {"op": nested(50_000), "channels": 8},
    "a huge key": {HUGE: 1},
    "a long text": "x" * 100_000,
    "not a number": math.nan,
    "infinity": math.inf,
    "a set": {1, 2},
    "bytes": b"conv",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_are_refused_everywhere(name: str) -> None:
    for path in places(FULL):
        assert refused_in_one_line(with_value(path, HOSTILE[name])), path


def test_a_key_becomes_part_of_the_pointer() -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.from_dict({**describe(), "a/b~c": 1})
    assert caught.value.pointer == "/a~1b~0c"


@pytest.mark.parametrize("missing", ["input_shape", "classes", "stages"])
def test_a_missing_field_is_named(missing: str) -> None:
    data = describe()
    del data[missing]
    with pytest.raises(ArchitectureError, match=f"architecture needs the field {missing}"):
        Architecture.from_dict(data)


def test_the_map_must_be_large_enough_for_each_pooling() -> None:
    data = describe(downsample="max")
    data["stages"] *= 5
    with pytest.raises(ArchitectureError, match=r"stage 5: downsample is 'max'; .* the map is only 1x1"):
        Architecture.from_dict(data)


def test_a_description_built_from_classes_equals_the_one_that_is_read() -> None:
    steps = (operations.create("conv", channels=8, kernel=5), operations.create("conv", channels=8))
    stage = Stage(branches=tuple(Branch((step,)) for step in steps), channels=16)
    built = Architecture(input_shape=(4, 16, 16), classes=3, stages=(stage,), head=Head(dropout=0))
    assert built == Architecture.from_dict(describe())
