"""Descriptions: canonical, validated, and clear about what is wrong."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Architecture, ArchitectureError, RandomTrial, analyse, families, resolve_space
from search_spaces.modules import build
from search_spaces.onnx_model import to_onnx

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
    ],
)
def test_fields_without_effect_do_not_tell_networks_apart(
    dead: dict[str, Any], alive: dict[str, Any]
) -> None:
    assert Architecture.from_dict(describe(**dead)).hash == Architecture.from_dict(describe(**alive)).hash


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


@settings(max_examples=300, deadline=None)
@given(
    junk=JSON,
    place=st.sampled_from(["", "stages", "stage", "branch", "head", "classes", "input_shape", "field"]),
)
def test_junk_is_refused_in_one_line_or_accepted(junk: Any, place: str) -> None:
    data: Any = describe()
    if place == "":
        data = junk
    elif place == "stage":
        data["stages"][0] = junk
    elif place == "branch":
        data["stages"][0]["branches"][0] = junk
    elif place == "field":
        data["stages"][0]["connection"] = junk
    else:
        data[place] = junk
    message = "accepted"
    try:
        analyse(Architecture.from_dict(data))
    except ArchitectureError as error:
        message = str(error)
    assert 0 < len(message) < 600
    assert "\n" not in message


def test_deep_nesting_is_refused() -> None:
    nested: Any = []
    for _ in range(10_000):
        nested = [nested]
    with pytest.raises(ArchitectureError):
        Architecture.from_dict({**describe(), "stages": nested})


@pytest.mark.parametrize("name", families.names())
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 20), (2, 128)])
def test_onnx_runtime_computes_what_torch_computes(name: str, shape: tuple[int, ...]) -> None:
    space = resolve_space(name)
    for seed in range(8):
        architecture = space.sample(RandomTrial(seed), shape, 5)
        network = _with_lively_norms(build(architecture, seed=seed)).eval()
        examples = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
        state = {key: value.numpy() for key, value in network.state_dict().items()}
        session = onnxruntime.InferenceSession(to_onnx(architecture, state))
        (found,) = session.run(None, {"input": examples.numpy()})
        with torch.no_grad():
            expected = network(examples).numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.abs(found - expected).max() / scale < 1e-4


def test_equal_seeds_build_equal_weights() -> None:
    architecture = Architecture.from_dict(describe())
    first, again, other = (build(architecture, seed=seed).state_dict() for seed in (1, 1, 2))
    name = "stage1.branch1.conv1.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def _with_lively_norms(network: torch.nn.Module) -> torch.nn.Module:
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    return network
