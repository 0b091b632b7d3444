"""Operations: their contract, their rules, and that a new one needs nothing but its class."""

from dataclasses import dataclass
from typing import Any

import pytest

from search_spaces import Architecture, ArchitectureError, analyse, operations
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.reduction import Pool
from search_spaces.modules import build
from search_spaces.onnx_model import to_onnx
from search_spaces.operations import operation as register_of_operations
from search_spaces.operations.operation import Lowering, Operation


def layers_of(step: dict[str, Any], *, inputs: int = 4, **stage: Any) -> list[Any]:
    """Return the convolutions that one operation is lowered to."""
    described = {"branches": [[step]], "channels": step["channels"], **stage}
    data = {"input_shape": [inputs, 16, 16], "classes": 2, "stages": [described]}
    architecture = Architecture.from_dict(data)
    return [layer for layer in analyse(architecture).layers if layer.kind == "convolution"]


def refusal(step: dict[str, Any]) -> str:
    with pytest.raises(ArchitectureError) as caught:
        layers_of(step, channels=8)
    return str(caught.value)


@pytest.mark.parametrize("kind", operations.names())
def test_every_operation_needs_only_channels(kind: str) -> None:
    created = operations.create(kind, channels=64)
    assert created.kind == kind
    for axes in created.axes:
        size = (8,) * axes
        assert created.fitted(64, size).problem(64, size) is None


@pytest.mark.parametrize("kind", operations.names())
def test_the_canonical_form_is_final(kind: str) -> None:
    fitted = operations.create(kind, channels=64).fitted(64, (8, 8))
    assert fitted.fitted(64, (8, 8)) == fitted


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 11, [3, 1], [1, 3], [5, 3]])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["conv", "depthwise_separable"])
def test_kernels_and_dilations_keep_the_map(kind: str, kernel: Any, dilation: int) -> None:
    step = {"op": kind, "channels": 8, "kernel": kernel, "dilation": dilation}
    assert {layer.output_shape[1:] for layer in layers_of(step)} == {(16, 16)}


def test_a_stride_applies_once() -> None:
    step = {"op": "depthwise_separable", "channels": 8, "multiplier": 2}
    depthwise, pointwise = layers_of(step, downsample="stride")
    assert depthwise.output_shape == (8, 8, 8)
    assert pointwise.output_shape == (8, 8, 8)


def test_a_multiplier_widens_the_depthwise_part() -> None:
    depthwise, pointwise = layers_of({"op": "depthwise_separable", "channels": 6, "multiplier": 4})
    assert (depthwise.params, pointwise.params) == (4 * 4 * 9, 16 * 6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kernel": 2}, "conv 1: kernel is [2, 2]; allowed: one odd number from 1 to 63 for each of 2 axes"),
        ({"kernel": [3]}, "conv 1: kernel is [3]; allowed: one odd number"),
        ({"kernel": True}, "kernel is True"),
        ({"kernel": 65}, "kernel is [65, 65]"),
        ({"groups": 3}, "groups is 3; allowed: a divisor of 4 and 8 channels"),
        ({"groups": 0}, "groups is 0"),
        ({"dilation": 0}, "dilation is 0; allowed: 1 to 32"),
        ({"kernel": 1, "dilation": "x"}, "dilation is 'x'; allowed: 1 to 32"),
        ({"bias": 1}, "bias is 1; allowed: true, false"),
        ({"channels": 4097}, "channels is 4097; allowed: 1 to 4096"),
    ],
)
def test_a_convolution_names_what_is_wrong(fields: dict[str, Any], words: str) -> None:
    message = refusal({"op": "conv", "channels": 8, **fields})
    assert message.startswith("stage 1, branch 1, conv 1: ")
    assert words in message


def test_a_multiplier_is_bounded_by_the_channels_it_makes() -> None:
    assert "multiplier is 2000; allowed: 1 to 1024" in refusal(
        {"op": "depthwise_separable", "channels": 8, "multiplier": 2000}
    )


def test_an_unknown_operation_offers_the_nearest() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'depthwise_separable'"):
        operations.create("depthwise_seperable", channels=8)


def test_a_field_called_as_the_function_s_own_argument_is_unknown() -> None:
    with pytest.raises(ArchitectureError, match="conv has no field 'kind'"):
        operations.create("conv", channels=8, kind=1)


def test_a_new_operation_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(register_of_operations._REGISTER)
    monkeypatch.setattr(register_of_operations, "_REGISTER", known)

    @operations.register("halved")
    @dataclass(frozen=True, slots=True)
    class Halved(Operation):
        """A 1x1 convolution on every second position."""

        function: str = "avg"

        def lower(self, graph: Lowering, name: str, node: int, stride: int) -> int:
            pooled = graph.add(f"{name}.pool", Pool(self.function), node)
            return graph.add(f"{name}.project", Convolution(self.channels, (1, 1), stride), pooled)

    steps = [[{"op": "halved", "channels": 4}], [{"op": "halved", "channels": 4, "function": "max"}]]
    stage = {"branches": steps, "channels": 4, "fusion": "add"}
    architecture = Architecture.from_dict({"input_shape": [2, 8, 8], "classes": 3, "stages": [stage]})
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    cost = analyse(architecture)
    assert cost.layers[1].name == "stage1.branch1.halved1.project"
    assert cost.layers[1].output_shape == (4, 4, 4)
    assert sum(parameter.numel() for parameter in build(architecture).parameters()) == cost.params
    assert to_onnx(architecture)
