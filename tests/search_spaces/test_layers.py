"""Primitive layers: what each says of itself is what its torch module and its ONNX operators do."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from search_spaces.layers.attention import SqueezeExcitation, squeezed_channels
from search_spaces.layers.convolution import Convolution
from search_spaces.layers.layer import Layer, Shape
from search_spaces.layers.merging import Add, Concat, WeightedSum
from search_spaces.layers.normalisation import BatchNorm
from search_spaces.layers.pointwise import ACTIVATIONS, Activation, Dropout
from search_spaces.layers.reduction import Flatten, GlobalPool, Linear, Pool
from search_spaces.onnx_model import IR_VERSION, OPSET

ONE, TWO, THREE = (4, 11), (4, 7, 10), (4, 5, 6, 7)
MAPS = (ONE, TWO, THREE)


def cases() -> list[tuple[Layer, tuple[Shape, ...]]]:
    anywhere: list[Layer] = [
        *(Activation(name) for name in ACTIVATIONS),
        BatchNorm(),
        Dropout(0.5),
        Flatten(),
        GlobalPool("avg"),
        GlobalPool("max"),
        Pool("avg"),
        Pool("max"),
        SqueezeExcitation(2),
        SqueezeExcitation(8),
    ]
    return [
        *((layer, (shape,)) for layer in anywhere for shape in MAPS),
        *((layer, (shape,) * 3) for layer in (Add(), WeightedSum(), Concat()) for shape in MAPS),
        (Concat(), ((4, 7, 10), (2, 7, 10))),
        (Linear(3), ((17,),)),
        (Convolution(6, (3,)), (ONE,)),
        (Convolution(6, (5,), stride=2, dilation=2, bias=True), (ONE,)),
        (Convolution(6, (3, 3)), (TWO,)),
        (Convolution(6, (3, 1), stride=2), (TWO,)),
        (Convolution(8, (5, 3), groups=4, dilation=3, bias=True), (TWO,)),
        (Convolution(8, (1, 1), stride=2), (TWO,)),
        (Convolution(6, (3, 1, 5), stride=2, groups=2), (THREE,)),
    ]


@pytest.mark.parametrize(("layer", "shapes"), cases(), ids=str)
def test_a_layer_says_what_torch_and_onnx_do(layer: Layer, shapes: tuple[Shape, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randn(2, *shape, generator=generator) for shape in shapes]
    module = layer.module(shapes).eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + ("var" in name))
        expected = module(*inputs)
    assert tuple(expected.shape[1:]) == layer.output_shape(shapes)
    named = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert named == layer.parameter_shapes(shapes)
    assert sum(buffer.numel() for buffer in module.buffers()) == layer.buffers(shapes)
    found = run_onnx(layer, shapes, inputs, module.state_dict())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def run_onnx(
    layer: Layer, shapes: tuple[Shape, ...], inputs: list[torch.Tensor], state: dict[str, torch.Tensor]
) -> np.ndarray:
    """Run a layer's operators alone."""
    names = [f"x{number}" for number in range(len(inputs))]
    operators = layer.onnx("layer", names, shapes)
    read = {name for operator in operators for name in operator.inputs}
    tensors = [
        numpy_helper.from_array(value.numpy(), f"layer.{name}")
        for name, value in state.items()
        if f"layer.{name}" in read
    ]
    constants = [
        numpy_helper.from_array(np.array(data, dtype=kind), name)
        for operator in operators
        for name, (data, kind) in operator.constants.items()
    ]
    graph = helper.make_graph(
        [helper.make_node(part.op_type, part.inputs, part.outputs, **part.attributes) for part in operators],
        "layer",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
            for name, x in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("layer", TensorProto.FLOAT, ["batch", *layer.output_shape(shapes)])],
        [*tensors, *constants],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(file)
    session = onnxruntime.InferenceSession(file.SerializeToString())
    result: np.ndarray = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})[
        0
    ]
    return result


def test_macs_count_outputs_times_what_each_sees() -> None:
    grouped = Convolution(8, (5, 3), stride=2, groups=4)
    assert grouped.macs([TWO], grouped.output_shape([TWO])) == 8 * 4 * 5 * (4 // 4) * 15
    assert Linear(3).macs([(17,)], (3,)) == 51
    assert SqueezeExcitation(2).macs([TWO], TWO) == 2 * 4 * 2
    assert BatchNorm().macs([TWO], TWO) == WeightedSum().macs([TWO, TWO], TWO) == 0


def test_a_dilated_window_spans_its_holes() -> None:
    assert Convolution(8, (3, 5), stride=2, dilation=3).window(2) == ((7, 7, 2), (13, 13, 2))
    assert Activation("relu").window(2) is None


def test_at_least_one_channel_is_left_by_squeezing() -> None:
    assert [squeezed_channels(channels, 8) for channels in (4, 8, 20)] == [1, 1, 2]


def test_pooling_drops_an_odd_last_row_and_a_stride_keeps_it() -> None:
    assert Pool("max").output_shape([TWO]) == (4, 3, 5)
    assert Convolution(4, (3, 3), stride=2).output_shape([TWO]) == (4, 4, 5)
