"""Examples as pictures: what is drawn how, and within which bounds."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas_service.content import store_content
from nas_service.datasets import canonical_content
from nas_service.datasets.dataset import make_dataset
from nas_service.datasets.pictures import MAX_SIDE, read_labels, read_pictures, spread_by_class
from nas_service.errors import InvalidInput

RNG = np.random.default_rng(0)


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    """Returns what stores examples, each third of one of three classes."""

    def store(examples: np.ndarray) -> Path:
        labels = np.arange(len(examples)) % 3
        dataset = make_dataset("some", (examples, labels))
        # Two lines a signal are taken for an image by whoever reads raw arrays.
        dataset = replace(dataset, x_train=examples) if examples.dtype == np.int16 else dataset
        return tmp_path / store_content(tmp_path, canonical_content(dataset))

    return store


def decoded(address: str) -> Image.Image:
    kind, _, content = address.partition(";base64,")
    assert kind == "data:image/png"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_grey_image_is_shown_pixel_by_pixel(stored: Any) -> None:
    examples = RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8)
    (picture,) = read_pictures(stored(examples), "train", [4])
    assert (picture.index, picture.label, picture.width, picture.height) == (4, 1, 8, 8)
    np.testing.assert_array_equal(np.asarray(decoded(picture.address)), examples[4])


def test_a_colour_image_keeps_its_colours(stored: Any) -> None:
    examples = RNG.integers(0, 256, (9, 3, 8, 6), dtype=np.uint8)
    (picture,) = read_pictures(stored(examples), "train", [2])
    np.testing.assert_array_equal(np.asarray(decoded(picture.address)), np.moveaxis(examples[2], 0, -1))


def test_a_spectrogram_is_a_heat_map_from_dark_blue_to_yellow(stored: Any) -> None:
    ramp = np.linspace(0, 1, 32 * 63, dtype=np.float32).reshape(32, 63)
    (picture,) = read_pictures(stored(np.stack([ramp] * 9)[:, None]), "train", [0])
    pixels = np.asarray(decoded(picture.address))
    assert pixels.shape == (32, 63, 3)
    assert pixels[0, 0].tolist() == [0x00, 0x22, 0x4E]
    assert pixels[-1, -1].tolist() == [0xFE, 0xE8, 0x38]


def test_a_volume_is_shown_by_its_middle_slice(stored: Any) -> None:
    volumes = np.zeros((9, 1, 10, 12, 12), np.uint8)
    volumes[:, :, 5] = 200
    (picture,) = read_pictures(stored(volumes), "train", [0])
    assert (np.asarray(decoded(picture.address)) == 200).all()


def test_a_long_signal_keeps_its_peaks_and_becomes_short(stored: Any) -> None:
    signals = np.zeros((9, 2, 8192), np.int16)
    signals[:, 0, 5000] = 1000
    (picture,) = read_pictures(stored(signals), "train", [0])
    svg = base64.b64decode(picture.address.partition(",")[2]).decode()
    lines = svg.split('points="')[1:]
    assert len(lines) == 2
    heights = [float(point.split(",")[1]) for point in lines[0].split('"')[0].split()]
    assert len(heights) == 2 * MAX_SIDE
    assert min(heights) == 2.0
    assert len(svg) < 8_000


def test_no_picture_is_larger_than_its_bound(stored: Any) -> None:
    examples = np.zeros((3 * 3, 1, 300, 500), np.uint8)
    (picture,) = read_pictures(stored(examples), "train", [0])
    assert max(picture.width, picture.height) <= MAX_SIDE


def test_what_a_data_set_lacks_is_left_out_or_named(stored: Any, tmp_path: Path) -> None:
    path = stored(np.zeros((9, 8, 8), np.uint8))
    assert [picture.index for picture in read_pictures(path, "train", [8, 9, -1])] == [8]
    assert read_labels(path, "test").tolist() == []
    with pytest.raises(InvalidInput, match="no test part"):
        read_pictures(path, "test", [0])
    (tmp_path / "broken").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="broken"):
        read_labels(tmp_path / "broken", "train")


def test_examples_are_spread_over_each_class() -> None:
    labels = np.array([0, 1] * 50 + [2])
    assert spread_by_class(labels, [0, 2], 3) == [0, 48, 98, 100]
