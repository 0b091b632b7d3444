"""An exported folder answers for images, arrays and folders, and says what is wrong with others."""

import asyncio
import io
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from nas_service.cli.main import run
from nas_service.errors import InvalidInput, NotFound
from nas_service.exported import ExportedNetwork
from nas_service.model_server import Limits, create_model_app
from nas_service.preprocessing import Preprocessing
from nas_service.settings import Settings
from search_spaces import RandomTrial, families
from search_spaces.onnx_model import to_onnx


def exported_to(folder: Path, shape: tuple[int, ...]) -> Path:
    """Fill a folder as an export leaves it, of a network that nobody trained."""
    architecture = families.get("two_conv").space.sample(RandomTrial(1), shape, 3)
    (folder / "model.onnx").write_bytes(to_onnx(architecture))
    mean, deviation = (100.0,) * shape[0], (50.0,) * shape[0]
    preprocessing = Preprocessing(shape, "uint8", "dataset", mean, deviation, ("a", "b", "c"))
    (folder / "preprocessing.json").write_text(json.dumps(preprocessing.to_dict()))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return exported_to(tmp_path, (1, 8, 8))


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


def test_numbers_of_another_scale_are_answered_with_a_warning(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 17, (10, 8, 8)).astype(np.float64))
    assert run(["predict", str(folder), str(tmp_path / "x.npy"), "--json"]) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 10
    (line,) = printed.err.splitlines()
    assert line.startswith("warning: these numbers (0 to 16) vary far less than")
    assert "mean 100, deviation 50" in line
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (10, 8, 8)))
    assert run(["predict", str(folder), str(tmp_path / "x.npy")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_no_answer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: float
) -> None:
    examples = np.ones((4, 1, 8, 8), dtype=np.float32)
    examples[2, 0, 3, 3] = number
    np.save(tmp_path / "x.npy", examples)
    assert run(["predict", str(folder), str(tmp_path / "x.npy")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "x.npy[2] holds a number that is not finite" in printed.err
    http = Endpoint(folder)
    answer = http.post("/predict", content=as_npy(examples), headers={"Content-Type": "application/x-npy"})
    assert answer.status_code == 422
    assert "examples.npy[2] holds a number that is not finite" in answer.text


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_coloured_picture_is_one_grey_example_to_a_network_of_one_channel(
    folder: Path, tmp_path: Path, mode: str
) -> None:
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8))
    grey.convert(mode).save(tmp_path / "colour.png")
    grey.save(tmp_path / "grey.png")
    network = ExportedNetwork(folder)
    (found,) = network.predict(tmp_path / "colour.png")
    (same,) = network.predict(tmp_path / "grey.png")
    assert (found.example, found.best) == ("colour.png", same.best)


def test_a_grey_picture_is_coloured_for_a_network_of_three_channels(tmp_path: Path) -> None:
    network = ExportedNetwork(exported_to(tmp_path, (3, 8, 8)))
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8))
    for mode in ("L", "RGB", "RGBA"):
        grey.convert(mode).save(tmp_path / f"{mode}.png")
    answers = [list(network.predict(tmp_path / f"{mode}.png")) for mode in ("L", "RGB", "RGBA")]
    assert [len(found) for found in answers] == [1, 1, 1]
    assert answers[0][0].best == answers[1][0].best == answers[2][0].best


@pytest.mark.parametrize(("shape", "size"), [((1, 8, 8), (9, 8)), ((2, 8, 8), (8, 8)), ((8, 8), (8, 8))])
def test_a_picture_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    Image.new("L", size).save(tmp_path / "other.png")
    network = ExportedNetwork(exported_to(tmp_path, shape))
    with pytest.raises(InvalidInput, match=r"other\.png is a picture of shape"):
        list(network.predict(tmp_path / "other.png"))


def test_files_that_are_no_onnx_are_refused_in_a_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "weights.safetensors").write_bytes(b"no model")
    assert run(["predict", str(folder), "x.npy", "--file", "weights.safetensors"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("file: weights.safetensors is no ONNX file (allowed: model.onnx)")
    (folder / "other.onnx").write_bytes(b"no model")
    assert run(["predict", str(folder), "x.npy", "--file", "other.onnx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("holds no readable network: other.onnx is damaged, or no ONNX file")


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


class Endpoint:
    """Asks the endpoint of a folder."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        limits = Limits(body_bytes=20_000, examples=4)
        self._app = create_model_app(
            ExportedNetwork(folder), Settings(home=folder), token=token, limits=limits
        )

    def get(self, path: str, **options: object) -> httpx.Response:
        return self._answer(self._sent("GET", path, **options))

    def post(self, path: str, **options: object) -> httpx.Response:
        return self._answer(self._sent("POST", path, **options))

    def _answer(self, sent: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        # A browser's test leaves a loop behind in this thread.
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, sent).result()

    async def _sent(self, method: str, path: str, **options: object) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.request(method, path, **options)


def as_npy(examples: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, examples)
    return stream.getvalue()


def test_the_endpoint_answers_alike_for_every_kind_of_body(folder: Path) -> None:
    example = np.random.default_rng(0).integers(0, 256, (1, 1, 8, 8)).astype(np.uint8)
    picture, archive = io.BytesIO(), io.BytesIO()
    Image.fromarray(example[0, 0]).save(picture, "PNG")
    np.savez(archive, x=example)
    bodies = {
        "image/png": picture.getvalue(),
        "application/x-npy": as_npy(example),
        "application/octet-stream": archive.getvalue(),
        "application/json": json.dumps({"examples": example.tolist()}).encode(),
    }
    http = Endpoint(folder)
    answers = []
    for kind, body in bodies.items():
        answer = http.post("/predict", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 200, answer.text
        answers.append([found["best"] for found in answer.json()["predictions"]])
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert http.get("/").json()["classes"] == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["application/json", "application/x-npy"])
def test_the_endpoint_doubts_numbers_of_another_scale(folder: Path, kind: str) -> None:
    http = Endpoint(folder)
    found = []
    for scale in (1.0, 255.0):
        examples = np.random.default_rng(0).random((2, 1, 8, 8)) * scale
        body = json.dumps({"examples": examples.tolist()}).encode()
        body = body if kind == "application/json" else as_npy(examples)
        answer = http.post("/predict", content=body, headers={"Content-Type": kind}).json()
        assert len(answer["predictions"]) == 2
        found.append(answer["warning"])
    assert found[0].startswith("these numbers (")
    assert "vary far less than those that the network was trained on (mean 100, deviation 50)" in found[0]
    assert found[1] is None


@pytest.mark.parametrize(
    ("kind", "body", "status", "words"),
    [
        ("text/html", b"<b>", 422, "Content-Type"),
        ("application/json", b'{"examples": [[1, 2]]}', 422, "has shape"),
        ("application/json", b'{"examples": "a"}', 422, "examples"),
        ("application/json", b"[" * 9_000, 422, "examples"),
        ("application/json", b'{"examples": [NaN]}', 422, "not finite"),
        ("image/png", b"no picture", 422, "example.png"),
        ("application/x-npy", as_npy(np.zeros((5, 1, 8, 8), dtype=np.uint8)), 422, "at most 4"),
        ("application/x-npy", b"\x93NUMPY\x01\x00\x10\x00" + b"x" * 16, 422, "header"),
        ("application/x-npy", b"0" * 20_001, 413, "at most 20000"),
        ("image/png", b"", 422, "empty"),
    ],
)
def test_the_endpoint_says_what_is_wrong_with_a_body(
    folder: Path, kind: str, body: bytes, status: int, words: str
) -> None:
    answer = Endpoint(folder).post("/predict", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.text


def test_the_endpoint_refuses_other_hosts_other_origins_and_other_tokens(folder: Path) -> None:
    http = Endpoint(folder, token="secret")
    assert http.get("/healthz").status_code == 200
    assert http.get("/").status_code == 401
    assert http.get("/", headers={"Authorization": "Bearer other"}).status_code == 401
    assert http.get("/", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert http.get("/", headers={"Host": "evil.example"}).status_code == 400
    foreign = {"Origin": "https://evil.example", "Authorization": "Bearer secret"}
    assert http.post("/predict", content=b"", headers=foreign).status_code == 403


def test_off_loopback_the_endpoint_wants_a_token_and_tls(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve-model", str(folder), "--host", "0.0.0.0"]) == 2
    assert "must not travel in the clear" in capsys.readouterr().err
    assert run(["serve-model", str(folder), "--host", "0.0.0.0", "--behind-proxy"]) == 2
    assert "token-file" in capsys.readouterr().err
    assert run(["serve-model", str(folder / "nowhere")]) == 3
