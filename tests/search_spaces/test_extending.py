"""The operation that docs/extending.md adds: the document's own code, and nothing else, is enough."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from search_spaces import Architecture, ArchitectureError, RandomTrial, SearchSpace, analyse
from search_spaces import sampling as space_sampling
from search_spaces.diagram import summary, svg, text
from search_spaces.modules import build
from search_spaces.onnx_model import to_onnx
from search_spaces.operations import operation as register_of_operations

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
SHAPES = {1: [4, 21], 2: [4, 9, 14], 3: [4, 6, 7, 8]}


@pytest.fixture(autouse=True)
def documented_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import the document's code as the file that it says it is, and forget it afterwards."""
    known = dict(register_of_operations._REGISTER)
    monkeypatch.setattr(register_of_operations, "_REGISTER", known)
    path = tmp_path / "ghost.py"
    path.write_text(DOCUMENT.read_text().split("```python\n")[1].split("```")[0])
    spec = importlib.util.spec_from_file_location("search_spaces.operations.ghost", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    register_of_operations.options.cache_clear()
    space_sampling._built.cache_clear()


def described(axes: int = 2, **stage: Any) -> Architecture:
    """Return an architecture with two ghost convolutions, which its canonical form puts in order."""
    steps = [[{"op": "ghost", "channels": 8, "parts": 4, "kernel": 3}], [{"op": "ghost", "channels": 8}]]
    first = {"branches": steps, "channels": 16, **stage}
    return Architecture.from_dict({"input_shape": SHAPES[axes], "classes": 3, "stages": [first]})


every_shape = pytest.mark.parametrize("axes", SHAPES)
every_downsample = pytest.mark.parametrize("downsample", ["none", "stride"])


def test_a_description_is_canonical() -> None:
    architecture = described()
    branches = architecture.to_dict()["stages"][0]["branches"]
    assert branches[0] == [{"op": "ghost", "channels": 8, "kernel": 1}]
    assert branches[1] == [{"op": "ghost", "channels": 8, "kernel": 3, "parts": 4}]
    assert Architecture.from_dict(architecture.to_dict()).hash == architecture.hash


def test_its_own_rule_is_named() -> None:
    data = described().to_dict()
    data["stages"][0]["branches"][0][0]["parts"] = 3
    with pytest.raises(
        ArchitectureError, match="ghost 1: parts is 3; allowed: 1 to 8, a divisor of 8 channels"
    ):
        Architecture.from_dict(data)


def test_it_costs_less_than_a_convolution() -> None:
    layers = {layer.name.removeprefix("stage1."): layer for layer in analyse(described()).layers}
    assert layers["branch2.ghost1.primary"].params == 4 * 2 * 9
    assert layers["branch2.ghost1.cheap"].params == 6 * 9
    assert layers["branch2.ghost1.cheap"].macs == 6 * 9 * 9 * 14
    assert layers["branch2.ghost1.concat"].output_shape == (8, 9, 14)


@every_shape
@every_downsample
def test_torch_agrees_with_the_cost(axes: int, downsample: str, torch_counts: Callable[..., Any]) -> None:
    architecture = described(axes, downsample=downsample)
    cost = analyse(architecture)
    counts = torch_counts(build(architecture, seed=0), architecture.input_shape)
    assert (counts.params, counts.buffers, counts.macs) == (cost.params, cost.buffers, cost.macs)
    assert all(counts.shapes[layer.name] == layer.output_shape for layer in cost.layers)


@every_shape
def test_onnx_computes_what_torch_computes(axes: int) -> None:
    architecture = described(axes, downsample="stride", branch_activation=True)
    network = build(architecture, seed=0).eval()
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    examples = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(to_onnx(architecture, state))
    (logits,) = session.run(None, {"input": examples.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, network(examples).numpy(), atol=1e-5)


def test_diagrams_name_it_and_its_field() -> None:
    architecture = described()
    assert "8·ghost3x3 parts 4" in summary(architecture)
    assert all("ghost" in picture(architecture) for picture in (svg, text))


def test_a_space_searches_it_and_its_field() -> None:
    branch = {"operation": ["conv", "ghost"], "kernel": [1, 3], "parts": [2, 3, 4]}
    space = SearchSpace.from_dict({"depth": [1, 2], "stage": {"width": [6, 8], "branch": branch}})
    drawn = [space.sample(RandomTrial(seed), (1, 8, 8), 3) for seed in range(200)]
    found = {
        operation
        for architecture in drawn
        for stage in architecture.stages
        for operation in stage.branches[0].operations
        if operation.kind == "ghost"
    }
    # Three parts of 8 channels are repaired to one, four of 6 to two.
    assert {(item.channels, item.parts) for item in found} == {(6, 2), (6, 3), (8, 1), (8, 2), (8, 4)}
    assert {item.kernel for item in found} == {(1, 1), (3, 3)}
    assert space.size() == (2 * (2 + 2 * 3)) + (2 * (2 + 2 * 3)) ** 2


def test_one_step_of_training_moves_all_its_weights() -> None:
    network = build(described(downsample="max"), seed=0)
    examples = torch.randn(16, *SHAPES[2], generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 3
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(network(examples), labels)
    loss.backward()
    optimizer.step()
    assert all(not torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert nn.functional.cross_entropy(network(examples), labels) < loss
