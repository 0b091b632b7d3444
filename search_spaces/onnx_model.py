"""An architecture as an ONNX file, written straight from the graph; needs `onnx`, not torch."""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph, Node, lower
from search_spaces.layers.layer import OnnxNode, Shape

# HardSwish needs 14, Split with num_outputs 18, Gelu 20.
OPSET = 20
IR_VERSION = 10


def to_onnx(
    architecture: Architecture, state: Mapping[str, NDArray[np.float32]] | None = None, seed: int = 0
) -> bytes:
    """Return a checked single-file ONNX model with input "input" (batch, C, *S) and output "logits".

    Args:
        architecture: What to write.
        state: Weights and buffers by the names of the torch module's state dict; random ones where None.
        seed: Seeds the random weights.
    """
    graph = lower(architecture)
    weights = state if state is not None else _random_state(graph, seed)
    nodes = [part for node in graph.nodes for part in _operators(graph, node)]
    nodes[-1] = helper.make_node(
        nodes[-1].op_type, list(nodes[-1].input), ["logits"], **_attributes(nodes[-1])
    )
    used = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name)
        for name, value in weights.items()
        if name in used
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *architecture.input_shape])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", architecture.classes])],
            [*tensors, *_constants(graph)],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nas-service",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _parts(graph: Graph, node: Node) -> list[OnnxNode]:
    inputs = ["input" if source == INPUT else graph.nodes[source].name for source in node.inputs]
    return node.layer.onnx(node.name, inputs, node.input_shapes)


def _operators(graph: Graph, node: Node) -> list[onnx.NodeProto]:
    return [
        helper.make_node(part.op_type, list(part.inputs), list(part.outputs), **part.attributes)
        for part in _parts(graph, node)
    ]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _constants(graph: Graph) -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.array(data, dtype=kind), name)
        for node in graph.nodes
        for part in _parts(graph, node)
        for name, (data, kind) in part.constants.items()
    ]


def _random_state(graph: Graph, seed: int) -> dict[str, NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    state: dict[str, NDArray[np.float32]] = {}
    for node in graph.nodes:
        for name, shape in node.layer.parameter_shapes(node.input_shapes).items():
            state[f"{node.name}.{name}"] = _draw(generator, shape)
        if node.layer.kind == "batch_norm":
            channels = node.shape[0]
            state[f"{node.name}.weight"] = np.ones(channels, dtype=np.float32)
            state[f"{node.name}.running_mean"] = np.zeros(channels, dtype=np.float32)
            state[f"{node.name}.running_var"] = np.ones(channels, dtype=np.float32)
    return state


def _draw(generator: np.random.Generator, shape: Shape) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.zeros(shape, dtype=np.float32)
    scale = sqrt(2 / prod(shape[1:]))
    return (scale * generator.standard_normal(shape)).astype(np.float32)
