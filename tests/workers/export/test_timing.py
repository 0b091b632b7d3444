"""`nas benchmark`: every form of an exported network, timed where it can run."""

import json
from pathlib import Path

import pytest

from nas_service.cli.main import run as nas
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
from workers.checkpoint import architecture_file, weights_file
from workers.export import timing
from workers.export.onnx_files import onnx_file
from workers.export.trained import Trained


def test_each_form_is_timed_where_it_can_run(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: value.detach().numpy() for name, value in trained.network.state_dict().items()}
    model = onnx_file(trained, DeployedNetwork(*fold_graph(trained.network.graph, state)))
    (tmp_path / "model.onnx").write_bytes(model)
    (tmp_path / "weights.safetensors").write_bytes(weights_file(trained.network, trained.architecture))
    (tmp_path / "architecture.json").write_bytes(architecture_file(trained.architecture))
    assert timing.run(["--output", "json", "--", str(tmp_path)]) == 0
    rows = {(row["form"], row["device"]): row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {
        ("torch, as trained", "cpu-torch"),
        ("torch, folded", "cpu-torch"),
        ("model.onnx", "cpu"),
    }
    assert all(0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"] for row in rows.values())
    assert rows["model.onnx", "cpu"]["size_bytes"] == len(model)


def test_what_cannot_be_timed_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nas(["benchmark", str(tmp_path), "--device", "tpu"]) == 2
    assert "'tpu' is unknown" in capsys.readouterr().err
    assert timing.run([str(tmp_path)]) == 3
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "holds nothing that runs on cpu-torch and cpu; write it with: nas trial export" in line
    (tmp_path / "model.onnx").write_bytes(b"no network")
    assert timing.run(["--device", "cpu", str(tmp_path)]) == 2
    # A busy machine is told of first.
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.onnx cannot be read" in line
