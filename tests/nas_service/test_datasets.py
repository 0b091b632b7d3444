"""Data sets: what is read, and what is refused in one line."""

import gzip
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas_service.datasets import digits, load_dataset, read_dataset, save_dataset
from nas_service.errors import InvalidInput

SharedData = Callable[[str], Path]


def save_npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


def examples(count: int = 12, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *(shape or (8, 8))), dtype=np.uint8)


def labels(count: int = 12, classes: int = 3) -> np.ndarray:
    return np.arange(count) % classes


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_dataset(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 8), (1, 8, 8)),
        ((8, 8, 3), (3, 8, 8)),
        ((3, 8, 8), (3, 8, 8)),
        ((1, 40), (1, 40)),
        ((40,), (1, 40)),
        ((8, 8, 8), (1, 8, 8, 8)),
        ((1, 6, 8, 8), (1, 6, 8, 8)),
        ((6, 8, 8, 3), (3, 6, 8, 8)),
        ((6, 8, 8), (6, 8, 8)),
        ((4, 4, 4), (4, 4, 4)),
    ],
)
def test_shapes_become_channels_first(
    shape: tuple[int, ...], expected: tuple[int, ...], tmp_path: Path
) -> None:
    dataset = read_dataset(save_npz(tmp_path, x=examples(12, *shape), y=labels()))
    assert dataset.input_shape == expected
    assert dataset.x_train.dtype == np.uint8


def test_text_labels_are_numbered_and_kept_as_names(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "ant"])[labels()]
    path = save_npz(tmp_path, x_train=examples(), y_train=names, x_test=examples(3), y_test=names[:3])
    dataset = read_dataset(path)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.y_train[:3].tolist() == [1, 2, 0]
    assert dataset.y_test is not None
    assert dataset.y_test.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("train", "test", "kept"),
    [
        (np.int64, [0, 261], np.int16),
        (np.uint8, [0, 250], np.uint8),
        (np.float64, [0, 250], np.float32),
        (np.uint8, [-3.0, 250.0], None),
    ],
)
def test_both_parts_have_a_type_that_holds_all_their_values(
    train: type, test: list[float], kept: type | None, tmp_path: Path
) -> None:
    x_test = np.resize(test, (3, 8, 8))
    arrays = {"x_train": examples().astype(train), "y_train": labels(), "x_test": x_test, "y_test": labels(3)}
    path = save_npz(tmp_path, **arrays)
    if kept is None:
        assert "x_test" in refusal(path)
        return
    dataset = read_dataset(path)
    assert dataset.x_test is not None
    assert dataset.x_train.dtype == dataset.x_test.dtype == kept
    assert np.array_equal(dataset.x_test[:, 0], x_test)
    assert np.array_equal(dataset.x_train[:, 0], examples())


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {
                "x_train": examples(),
                "y_train": labels(),
                "x_test": examples(3) / 255,
                "y_test": labels(3),
            },
            ["x_test", "one scale"],
        ),
        ({"x": examples(), "y": labels(10)}, ["y", "10 labels", "12"]),
        ({"x": np.full((12, 8, 8), np.nan), "y": labels()}, ["x", "NaN"]),
        ({"x": examples(), "y": np.zeros(12, dtype=int)}, ["one class"]),
        ({"x": examples(), "y": np.array([0] * 11 + [1])}, ["class '1'", "1 examples"]),
        ({"a": examples(), "b": labels()}, ["x_train"]),
        ({"x": examples(), "y": labels() + 0.5}, ["y", "float64"]),
        ({"x": examples(12, 2, 2, 2, 2, 2), "y": labels()}, ["x", "shape"]),
        ({"x": np.zeros((12, 8, 8), dtype=complex), "y": labels()}, ["x", "complex"]),
        ({"x_train": examples(), "y_train": labels(), "x_test": examples()}, ["y_test", "missing"]),
        (
            {"x_train": examples(), "y_train": labels(), "x_test": examples(3, 9, 9), "y_test": labels(3)},
            ["x_test", "9"],
        ),
        (
            {"x_train": examples(), "y_train": labels(), "x_test": examples(3), "y_test": labels(3) + 7},
            ["y_test", "lacks"],
        ),
    ],
)
def test_wrong_arrays_are_named(arrays: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    message = refusal(save_npz(tmp_path, **arrays))
    for word in words:
        assert word in message


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as stream:
        np.savez(stream, x=np.array([{"a": 1}] * 12, dtype=object), y=labels(), allow_pickle=True)
    assert "pickle" in refusal(path)


def test_a_truncated_npz_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = save_npz(tmp_path, x=examples(), y=labels()).read_bytes()
    broken = tmp_path / "broken.npz"
    for length in range(0, len(whole) - 1, 37):
        broken.write_bytes(whole[:length])
        assert "broken.npz" in refusal(broken)


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (12, 2**40)}
    )
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", b"")
    assert "claims" in refusal(path)


def test_an_npz_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path, x=np.zeros((12, 3000, 3000), dtype=np.uint8), y=labels())
    assert "unpack" in refusal(path)


def write_idx(folder: Path, stem: str, array: np.ndarray, *, packed: bool = True) -> None:
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    (folder / (stem + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_read_from_their_folder(packed: bool, tmp_path: Path) -> None:
    write_idx(tmp_path, "train-images-idx3-ubyte", examples(), packed=packed)
    write_idx(tmp_path, "train-labels-idx1-ubyte", labels().astype(np.uint8), packed=packed)
    dataset = read_dataset(tmp_path, "mine")
    assert np.array_equal(dataset.x_train[:, 0], examples())
    assert dataset.y_test is None


def test_an_idx_file_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, "train-images-idx3-ubyte", examples(), packed=False)
    write_idx(tmp_path, "train-labels-idx1-ubyte", labels().astype(np.uint8), packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    assert "train-images-idx3-ubyte" in refusal(tmp_path)


def image_bytes(size: tuple[int, int] = (8, 8), mode: str = "L", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 7).save(stream, kind)
    return stream.getvalue()


def image_zip(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def pictures(**changes: bytes) -> dict[str, bytes]:
    return {f"{kind}/{number}.png": image_bytes() for kind in ("a", "b") for number in range(3)} | changes


def test_a_zip_of_images_by_class_is_read(tmp_path: Path) -> None:
    dataset = read_dataset(image_zip(tmp_path, pictures()))
    assert dataset.class_names == ("a", "b")
    assert dataset.x_train.shape == (6, 1, 8, 8)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a/odd.png", image_bytes((9, 8)), "9x8"),
        ("a/colour.png", image_bytes(mode="RGB"), "3 channels"),
        ("a/broken.png", image_bytes()[:30], "broken.png"),
        ("a/gif.png", image_bytes(kind="GIF"), "gif.png"),
        ("../evil.png", image_bytes(), "evil.png"),
        ("/absolute.png", image_bytes(), "absolute.png"),
        ("A/0.PNG", image_bytes(), "stands twice"),
        ("a/huge.png", image_bytes((5000, 10)), "4096"),
    ],
)
def test_a_bad_member_is_named(name: str, content: bytes, word: str, tmp_path: Path) -> None:
    assert word in refusal(image_zip(tmp_path, {**pictures(), name: content}))
    assert not (tmp_path.parent / "evil.png").exists()


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = image_zip(tmp_path, pictures())
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "link" in refusal(path)


def test_digits_ship_with_a_test_part() -> None:
    dataset = digits()
    assert (dataset.input_shape, dataset.classes) == ((1, 8, 8), 10)
    assert dataset.x_test is not None
    assert len(dataset.x_train) + len(dataset.x_test) == 1797


def test_equal_data_have_equal_files(tmp_path: Path) -> None:
    first, second = save_dataset(digits(), tmp_path / "a"), save_dataset(digits(), tmp_path / "b")
    # What scikit-learn's load_digits gives, and measured networks are known by.
    assert first == second == "6495f8a63b3f77189da662db976b6764e7834936950770442bcf37ef0e0d2802"
    loaded = load_dataset(tmp_path / "a" / f"{first}.safetensors")
    assert np.array_equal(loaded.x_train, digits().x_train)
    assert loaded.class_names == digits().class_names


def test_a_damaged_canonical_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    with pytest.raises(InvalidInput):
        load_dataset(path)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("mnist.npz", (1, 28, 28), 10),
        ("fsdd-waveform.npz", (1, 8192), 10),
        ("fsdd-logmel.npz", (1, 32, 63), 10),
        ("adrenalmnist3d.npz", (1, 28, 28, 28), 2),
        ("image-folder/colour", (3, 32, 32), 4),
        ("image-folder/grey", (1, 28, 28), 4),
    ],
)
def test_real_data_are_read(name: str, shape: tuple[int, ...], classes: int, shared_data: SharedData) -> None:
    dataset = read_dataset(shared_data(name))
    assert (dataset.input_shape, dataset.classes) == (shape, classes)
