"""The preprocessing of a trained network as code and as ONNX operators."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas_service.preprocessing import LEAST_DEVIATION, Preprocessing
from workers.export.trained import Trained

CODE = {
    "dataset": '''\
# Of the training part, a number a channel.
MEAN = {mean}
DEVIATION = {deviation}


def preprocess(examples: torch.Tensor) -> torch.Tensor:
    """Turn examples {shape}, numbers as in the data set, into the network's input."""
    mean, deviation = (torch.tensor(figures).reshape({columns}) for figures in (MEAN, DEVIATION))
    return (examples.float() - mean) / deviation
''',
    "example": '''\
def preprocess(examples: torch.Tensor) -> torch.Tensor:
    """Bring each of the examples {shape}, numbers as in the data set, to mean 0 and deviation 1."""
    axes = tuple(range(1, examples.dim()))
    deviation, mean = torch.std_mean(examples.float(), axes, correction=0, keepdim=True)
    return (examples.float() - mean) / deviation.clamp_min(1e-6)
''',
}
Operators = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def preprocessing_of(trained: Trained) -> Preprocessing:
    """Return how a candidate's examples were prepared."""
    return Preprocessing(
        input_shape=trained.dataset.input_shape,
        input_type=str(trained.dataset.x_train.dtype),
        normalisation=trained.study.spec.training.recipe.normalisation,
        mean=tuple(trained.data.mean.flatten().tolist()),
        deviation=tuple(trained.data.deviation.flatten().tolist()),
        classes=trained.dataset.class_names,
        **trained.input_ranges,
    )


def as_code(preprocessing: Preprocessing) -> str:
    """Return a function `preprocess` of plain torch."""
    shape = ", ".join(map(str, preprocessing.input_shape))
    return CODE[preprocessing.normalisation].format(
        mean=list(preprocessing.mean),
        deviation=list(preprocessing.deviation),
        shape=f"(B, {shape})",
        columns=", ".join(["-1", *["1"] * (len(preprocessing.input_shape) - 1)]),
    )


def put_before(preprocessing: Preprocessing, model: bytes) -> bytes:
    """Return a model whose input "input" takes examples as in the data set, as float32."""
    inside = onnx.load_from_string(model)
    for node in inside.graph.node:
        node.input[:] = ["normalised" if name == "input" else name for name in node.input]
    is_own = preprocessing.normalisation == "example"
    nodes, constants = _by_example(preprocessing) if is_own else _by_channel(preprocessing)
    rest = list(inside.graph.node)
    del inside.graph.node[:]
    inside.graph.node.extend([*nodes, *rest])
    inside.graph.initializer.extend(constants)
    properties = {entry.key: entry.value for entry in inside.metadata_props}
    helper.set_model_props(inside, properties | {"preprocessing": "inside"})
    onnx.checker.check_model(inside, full_check=True)
    return bytes(inside.SerializeToString())


def _by_channel(preprocessing: Preprocessing) -> Operators:
    nodes = [
        helper.make_node("Sub", ["input", "preprocessing.mean"], ["preprocessing.centred"]),
        helper.make_node("Div", ["preprocessing.centred", "preprocessing.deviation"], ["normalised"]),
    ]
    figures = {"mean": preprocessing.mean, "deviation": preprocessing.deviation}
    return nodes, [
        numpy_helper.from_array(preprocessing.column(value), f"preprocessing.{name}")
        for name, value in figures.items()
    ]


def _by_example(preprocessing: Preprocessing) -> Operators:
    axes = np.arange(1, len(preprocessing.input_shape) + 1, dtype=np.int64)
    name = "preprocessing.{}".format
    nodes = [
        helper.make_node("ReduceMean", ["input", name("axes")], [name("mean")]),
        helper.make_node("Sub", ["input", name("mean")], [name("centred")]),
        helper.make_node("Mul", [name("centred"), name("centred")], [name("squares")]),
        helper.make_node("ReduceMean", [name("squares"), name("axes")], [name("variance")]),
        helper.make_node("Sqrt", [name("variance")], [name("spread")]),
        helper.make_node("Max", [name("spread"), name("least")], [name("deviation")]),
        helper.make_node("Div", [name("centred"), name("deviation")], ["normalised"]),
    ]
    least = helper.make_tensor(name("least"), TensorProto.FLOAT, [], [LEAST_DEVIATION])
    return nodes, [numpy_helper.from_array(axes, name("axes")), least]
