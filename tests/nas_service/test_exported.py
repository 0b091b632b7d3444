"""An exported folder answers for images, arrays and folders, and says what is wrong with others."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas_service.cli.main import run
from nas_service.errors import InvalidInput, NotFound
from nas_service.exported import ExportedNetwork
from nas_service.preprocessing import Preprocessing
from search_spaces import RandomTrial, families
from search_spaces.onnx_model import to_onnx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as an export leaves it, of a network that nobody trained."""
    architecture = families.get("two_conv").space.sample(RandomTrial(1), (1, 8, 8), 3)
    (tmp_path / "model.onnx").write_bytes(to_onnx(architecture))
    preprocessing = Preprocessing((1, 8, 8), "uint8", "dataset", (100.0,), (50.0,), ("a", "b", "c"))
    (tmp_path / "preprocessing.json").write_text(json.dumps(preprocessing.to_dict()))
    return tmp_path


def test_arrays_images_and_folders_get_the_same_answers(folder: Path, tmp_path: Path) -> None:
    network = ExportedNetwork(folder)
    examples = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "x.npy", examples)
    np.savez(tmp_path / "x.npz", x_test=examples)
    (tmp_path / "pictures").mkdir()
    for number, example in enumerate(examples):
        Image.fromarray(example[0]).save(tmp_path / "pictures" / f"{number}.png")
    answers = [
        [found.best for found in network.predict(tmp_path / name)] for name in ("x.npy", "x.npz", "pictures")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 3
    assert all(abs(sum(share for _, share in best) - 1) < 1e-5 for best in answers[0])


def test_the_command_prints_a_line_an_example(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 8, 8), dtype=np.uint8))
    assert run(["predict", str(folder), str(tmp_path / "x.npy"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["example"] for row in rows] == ["x.npy[0]", "x.npy[1]"]


def test_an_empty_input_is_not_the_folder_one_stands_in(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(folder), ""]) == 2
    assert "examples: is empty" in capsys.readouterr().err


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    network = ExportedNetwork(folder)
    np.save(tmp_path / "wide.npy", np.zeros((2, 1, 9, 9)))
    (tmp_path / "no.png").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"wide\.npy has shape \(2, 1, 9, 9\)"):
        list(network.predict(tmp_path / "wide.npy"))
    with pytest.raises(InvalidInput, match=r"no\.png"):
        list(network.predict(tmp_path / "no.png"))
    with pytest.raises(InvalidInput, match="holds no images"):
        list(network.predict(tmp_path / "empty"))
    with pytest.raises(NotFound, match="there is no file"):
        list(network.predict(tmp_path / "nowhere.png"))
    with pytest.raises(NotFound, match=r"has no model-int8\.onnx"):
        ExportedNetwork(folder, "model-int8.onnx")


def test_a_damaged_folder_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InvalidInput, match="no readable network"):
        ExportedNetwork(folder)
