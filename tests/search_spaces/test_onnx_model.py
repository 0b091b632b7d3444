"""The ONNX file: computes what torch computes, stands alone, and needs no torch."""

import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from search_spaces import Architecture, RandomTrial, families, lower, resolve_space
from search_spaces.layers.pointwise import ACTIVATIONS
from search_spaces.modules import build
from search_spaces.onnx_model import to_onnx

TOLERANCE = 1e-4


def describe(**stage: Any) -> Architecture:
    step = {"op": "conv", "channels": 8}
    first = {"branches": [[step]], "channels": 8, **stage}
    return Architecture.from_dict({"input_shape": [2, 9, 8], "classes": 3, "stages": [first]})


def lively(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give what starts as zeros and ones, such as running statistics, values that would show a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and value.dim() == 1:
            low = 0.5 if name.endswith(("running_var", "norm.weight")) else -0.5
            value.copy_(torch.rand(value.shape, generator=generator) + low)
    return network.eval()


def run(file: bytes, examples: NDArray[np.float32]) -> NDArray[np.float32]:
    (logits,) = onnxruntime.InferenceSession(file).run(None, {"input": examples})
    return np.asarray(logits)


def deviation(architecture: Architecture, seed: int = 0) -> float:
    """Return the largest difference between ONNX Runtime and torch, by the size of the logits."""
    network = lively(build(architecture, seed=seed), seed)
    shape = (3, *architecture.input_shape)
    examples = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network(examples).numpy()
    found = run(to_onnx(architecture, state), examples.numpy())
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def test_every_choice_computes_what_torch_computes(each_description: dict[str, Any]) -> None:
    assert deviation(Architecture.from_dict(each_description)) < TOLERANCE


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_computes_what_torch_computes(activation: str) -> None:
    assert deviation(describe(activation=activation)) < TOLERANCE


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 20), (2, 128)])
@pytest.mark.parametrize("family", families.names())
def test_samples_of_a_family_compute_what_torch_computes(family: str, shape: tuple[int, ...]) -> None:
    space = resolve_space(family)
    for seed in range(4):
        architecture = space.sample(RandomTrial(seed), shape, 5)
        assert deviation(architecture, seed) < TOLERANCE, architecture.canonical_json()


def test_any_number_of_examples_goes_through_at_once() -> None:
    file = to_onnx(describe())
    examples = np.random.default_rng(0).standard_normal((5, 2, 9, 8)).astype(np.float32)
    together = run(file, examples)
    one_by_one = np.concatenate([run(file, examples[index : index + 1]) for index in range(5)])
    assert together.shape == (5, 3)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-5)


def test_input_and_output_carry_names_and_shapes() -> None:
    session = onnxruntime.InferenceSession(to_onnx(describe()))
    (inputs,), (outputs,) = session.get_inputs(), session.get_outputs()
    assert (inputs.name, inputs.shape) == ("input", ["batch", 2, 9, 8])
    assert (outputs.name, outputs.shape) == ("logits", ["batch", 3])


def test_equal_seeds_write_equal_files() -> None:
    assert to_onnx(describe(), seed=4) == to_onnx(describe(), seed=4)
    assert to_onnx(describe(), seed=4) != to_onnx(describe(), seed=5)


def test_the_file_holds_each_parameter_under_its_torch_name() -> None:
    architecture = describe(attention=2, connection="residual")
    written = {tensor.name for tensor in onnx.load_from_string(to_onnx(architecture)).graph.initializer}
    assert {name for name, _ in build(architecture).named_parameters()} <= written


def test_a_missing_entry_is_named() -> None:
    state = {name: value.numpy() for name, value in build(describe(), seed=0).state_dict().items()}
    del state["head.logits.bias"]
    with pytest.raises(ValueError, match=r"the state lacks head\.logits\.bias"):
        to_onnx(describe(), state)


def test_writing_needs_no_torch() -> None:
    program = (
        "import sys, json\n"
        "from search_spaces import Architecture\n"
        "from search_spaces.onnx_model import to_onnx\n"
        "to_onnx(Architecture.from_dict(json.loads(sys.argv[1])))\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, describe().canonical_json()]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "False"


def test_every_operator_keeps_the_name_of_its_layer() -> None:
    architecture = describe(fusion="weighted", branches=[[{"op": "conv", "channels": 8}]] * 2)
    outputs = {
        name for node in onnx.load_from_string(to_onnx(architecture)).graph.node for name in node.output
    }
    names = {node.name for node in lower(architecture).nodes if node.name != "head.logits"}
    assert names <= outputs
