"""An architecture as an ONNX file, written straight from the graph; needs `onnx`, not torch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod, sqrt

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from search_spaces.architecture import Architecture
from search_spaces.graph import INPUT, Graph
from search_spaces.layers.layer import OnnxNode, Shape
from search_spaces.lowering import lower

# HardSwish needs 14, Split with num_outputs 18, Gelu 20.
OPSET = 21
IR_VERSION = 10


def to_onnx(
    architecture: Architecture, state: Mapping[str, NDArray[np.float32]] | None = None, seed: int = 0
) -> bytes:
    """Return a checked single-file ONNX model with input "input" (batch, C, *S) and output "logits".

    Args:
        architecture: What to write.
        state: Weights and buffers by the names of the torch module's state dict; random ones where None.
        seed: Seeds the random weights.

    Raises:
        ValueError: The state lacks an entry; the message names it.
    """
    graph = lower(architecture)
    return graph_to_onnx(graph, random_state(graph, seed) if state is None else state)


def graph_to_onnx(graph: Graph, state: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Return any graph, such as a folded one, as `to_onnx` does.

    Raises:
        ValueError: The state lacks an entry; the message names it.
    """
    operators = _operators(graph)
    model = helper.make_model(
        helper.make_graph(
            [_node(operator) for operator in operators],
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *graph.input_shape])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", *graph.nodes[-1].shape])],
            [*_weights(operators, state), *_constants(operators)],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nas-service",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _operators(graph: Graph) -> list[OnnxNode]:
    operators: list[OnnxNode] = []
    for node in graph.nodes:
        inputs = ["input" if source == INPUT else graph.nodes[source].name for source in node.inputs]
        operators += node.layer.onnx(node.name, inputs, node.input_shapes)
    operators[-1] = replace(operators[-1], outputs=("logits",))
    return operators


def _node(operator: OnnxNode) -> onnx.NodeProto:
    return helper.make_node(operator.op_type, operator.inputs, operator.outputs, **operator.attributes)


def _weights(
    operators: list[OnnxNode], state: Mapping[str, NDArray[np.float32]]
) -> Iterator[onnx.TensorProto]:
    """Yield what the operators read and none of them computes; the state may hold more, such as counters."""
    known = {"input", *(name for operator in operators for name in (*operator.outputs, *operator.constants))}
    for name in dict.fromkeys(name for operator in operators for name in operator.inputs):
        if name in known:
            continue
        if name not in state:
            raise ValueError(f"the state lacks {name}")
        yield numpy_helper.from_array(np.ascontiguousarray(state[name], dtype=np.float32), name)


def _constants(operators: list[OnnxNode]) -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.array(data, dtype=kind), name)
        for operator in operators
        for name, (data, kind) in operator.constants.items()
    ]


def random_state(graph: Graph, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return weights and buffers of an untrained network by the names of the torch module's state dict."""
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
