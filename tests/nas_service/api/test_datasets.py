"""Uploading data sets: good ones by curl's two ways, and every kind of bad one."""

import io
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from nas_service.errors import NotFound
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.store import catalogue
from nas_service.store.engine import writing

DATASETS = "/api/v1/datasets"
OCTETS = {"Content-Type": "application/octet-stream"}
IMAGES = np.zeros((40, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 4


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def upload(http: httpx.Client, content: bytes, **query: str) -> httpx.Response:
    return http.post(DATASETS, params={"filename": "shapes.npz", **query}, content=content, headers=OCTETS)


def uploads_left(settings: Settings) -> list[Path]:
    return list((settings.data_home / "uploads").iterdir())


def test_a_raw_body_is_registered_under_the_file_s_name(http: httpx.Client, settings: Settings) -> None:
    answer = upload(http, npz(x_train=IMAGES, y_train=LABELS))
    assert answer.status_code == 201
    assert answer.json()["name"] == "shapes"
    assert answer.json()["input_shape"] == [1, 8, 8]
    assert http.get(f"{DATASETS}/shapes").json() == answer.json()
    assert {dataset["name"] for dataset in http.get(DATASETS).json()["items"]} == {"digits", "shapes"}
    assert uploads_left(settings) == []


def test_a_form_is_accepted_too(http: httpx.Client, settings: Settings) -> None:
    files = {"file": ("shapes.npz", npz(x=IMAGES, y=LABELS))}
    answer = http.post(DATASETS, files=files, data={"name": "mine"})
    assert answer.status_code == 201
    assert answer.json()["name"] == "mine"
    assert uploads_left(settings) == []


def test_a_zip_of_images_is_accepted(http: httpx.Client) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(24):
            picture = io.BytesIO()
            Image.new("L", (8, 8), index * 10).save(picture, "PNG")
            archive.writestr(f"{'cat' if index % 2 else 'dog'}/{index}.png", picture.getvalue())
    answer = upload(http, buffer.getvalue(), filename="pets.zip")
    assert answer.status_code == 201, answer.text
    assert answer.json()["class_names"] == ["cat", "dog"]


def nan_images() -> np.ndarray:
    images = IMAGES.astype(np.float32)
    images[3, 2, 1] = np.nan
    return images


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (npz(x_train=IMAGES, y_train=LABELS[:30]), "30"),
        (npz(x_train=nan_images(), y_train=LABELS), "NaN"),
        (npz(x_train=IMAGES, y_train=np.zeros(40, dtype=int)), "class"),
        (npz(pictures=IMAGES, y_train=LABELS), "x_train"),
        (npz(x_train=IMAGES.astype("datetime64[s]"), y_train=LABELS), "datetime64"),
        (npz(x_train=IMAGES, y_train=LABELS)[:200], "shapes.npz"),
        (b"PK\x03\x04 not really a zip file", "shapes.npz"),
        (b"\x93NUMPY", "shapes.npz"),
        (b"", "empty"),
    ],
)
def test_a_bad_data_set_is_refused_in_words(
    http: httpx.Client, settings: Settings, content: bytes, word: str
) -> None:
    answer = upload(http, content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json()["detail"]
    assert str(settings.data_home) not in answer.text
    assert uploads_left(settings) == []


@pytest.mark.parametrize(
    "filename", ["../../evil.npz", "/etc/evil.npz", "..\\evil.npz", "evil\x00.npz", "..", "a/../../evil.npz"]
)
def test_a_file_name_leads_nowhere(http: httpx.Client, settings: Settings, filename: str) -> None:
    before = {path for path in settings.data_home.parent.rglob("*") if "evil" in path.name}
    answer = upload(http, npz(x_train=IMAGES, y_train=LABELS), filename=filename)
    assert answer.status_code in (201, 422)
    assert {path for path in settings.data_home.parent.rglob("*") if "evil" in path.name} == before


def test_a_name_that_is_none_is_refused(http: httpx.Client) -> None:
    answer = upload(http, npz(x_train=IMAGES, y_train=LABELS), name="<img src=x>")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/name"


def test_a_form_without_a_file_is_refused(http: httpx.Client) -> None:
    answer = http.post(DATASETS, files={"picture": ("shapes.npz", b"1")})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/file"


@pytest.mark.parametrize("is_form", [False, True])
def test_what_is_too_large_is_refused_and_leaves_nothing(settings: Settings, is_form: bool) -> None:
    small = settings.model_copy(update={"port": 0, "max_upload_bytes": 1000})
    with serving(small) as address, httpx.Client(base_url=address, trust_env=False) as http:
        for content in (b"x" * 5000, iter([b"x" * 600, b"x" * 600])):
            if is_form and isinstance(content, bytes):
                answer = http.post(DATASETS, files={"file": ("a.npz", content)})
            else:
                answer = http.post(DATASETS, content=content, headers=OCTETS)
            assert answer.status_code == 413
            assert answer.json()["type"].endswith("too-large")
    assert uploads_left(settings) == []


def test_a_data_set_is_deleted_only_while_no_study_uses_it(http: httpx.Client, settings: Settings) -> None:
    sha256 = upload(http, npz(x_train=IMAGES, y_train=LABELS), name="mine").json()["sha256"]
    upload(http, npz(x_train=IMAGES, y_train=LABELS), name="same")
    file = settings.datasets_folder / f"{sha256}.safetensors"
    study = http.post("/api/v1/studies", json={"dataset": "mine"}).json()["study"]
    refused = http.delete(f"{DATASETS}/mine")
    assert (refused.status_code, refused.json()["status"]) == (409, 409)
    assert f"study {study}" in refused.json()["detail"]
    assert http.post(f"/api/v1/studies/{study}:cancel").status_code == 200
    assert http.delete(f"/api/v1/studies/{study}").status_code == 204
    assert http.delete(f"{DATASETS}/mine").status_code == 204
    assert http.get(f"{DATASETS}/mine").status_code == 404
    # Another name for the same data keeps its file.
    assert file.exists()
    assert http.delete(f"{DATASETS}/same").status_code == 204
    assert not file.exists()
    assert http.delete(f"{DATASETS}/same").status_code == 404
    assert http.delete(f"{DATASETS}/digits").status_code == 409
    assert upload(http, npz(x_train=IMAGES, y_train=LABELS), name="mine").status_code == 201
    assert file.exists()


def test_a_study_cannot_be_launched_on_what_is_deleted_meanwhile(service: Service) -> None:
    with writing(service.engine) as connection, pytest.raises(NotFound, match="deleted meanwhile"):
        catalogue.hold_dataset(connection, "gone")
