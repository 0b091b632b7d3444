"""S11: networks leave as one ONNX file without references to others; none ever comes in."""

import ast
from collections.abc import Callable

import httpx
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper
from test_s05_no_pickle import SOURCES, called

from search_spaces import families
from search_spaces.families.pictures import typical
from search_spaces.onnx_model import to_onnx


@pytest.mark.parametrize("name", families.names())
def test_an_exported_network_refers_to_no_other_file(name: str) -> None:
    model = onnx.load_from_string(to_onnx(typical(name)))
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)]
    assert tensors
    assert not [tensor for tensor in tensors if external_data_helper.uses_external_data(tensor)]


def test_a_model_that_points_at_a_file_is_no_data_set(upload: Callable[..., httpx.Response]) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    graph = helper.make_graph([], "g", [], [], [tensor])
    content = helper.make_model(graph).SerializeToString()
    for name in ("model.onnx", "model.npz", "model.zip"):
        answer = upload(content, name)
        assert answer.status_code == 422
        assert "root:" not in answer.text


def test_no_source_loads_a_model_from_a_path() -> None:
    loaders = (
        "onnx.load",
        "onnx.load_model",
        "load_external_data_for_model",
        "convert_model_to_external_data",
    )
    found = [
        f"{path.name}: {function}"
        for path in SOURCES
        for function, _ in called(ast.parse(path.read_text(encoding="utf-8")))
        if function.endswith(loaders)
    ]
    assert found == []


def test_onnx_is_recent_enough() -> None:
    assert tuple(map(int, onnx.__version__.split(".")[:2])) >= (1, 21)
