"""Reading folders of images, `<class>/*` or `train/<class>/*` and `test/<class>/*`, and zips of them."""

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import numpy as np
from PIL import Image

from nas_service.datasets.archives import read_member
from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse
from nas_service.datasets.limits import MAX_BYTES, MAX_CLASSES, MAX_FILE_BYTES, MAX_FILES, MAX_SIDE
from nas_service.errors import InvalidInput

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


@dataclass(frozen=True, slots=True)
class _File:
    path: PurePosixPath
    read: Callable[[], bytes]


def read_image_folder(folder: Path, name: str) -> Dataset:
    """Read a folder of images; links are not followed."""
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise refuse(f"{path.relative_to(folder)} is a link, which is not followed")
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            files.append(_File(PurePosixPath(path.relative_to(folder).as_posix()), partial(_content, path)))
        if len(files) > MAX_FILES:
            raise refuse(f"{folder.name} holds more than {MAX_FILES} images")
    return _from_files(files, name, folder.name)


def read_images(archive: ZipFile, name: str, where: str) -> Dataset:
    """Read a zip of an image folder, without unpacking it to disk."""
    files = [
        _File(PurePosixPath(info.filename), partial(read_member, archive, info))
        for info in archive.infolist()
        if not info.is_dir() and PurePosixPath(info.filename).suffix.lower() in SUFFIXES
    ]
    return _from_files(files, name, where)


def read_image(path: Path, channels: int | None = None) -> Array:
    """Return one picture as (C, H, W) of uint8; transparency is left out.

    Args:
        path: Of the file.
        channels: 1 makes it grey, 3 colour; anything else leaves it what it is.

    Raises:
        InvalidInput: It is unreadable.
    """
    return _decode(_File(PurePosixPath(path.name), partial(_content, path)), channels)


def _content(path: Path) -> bytes:
    """Return a file's bytes; raises `InvalidInput` if it became a link, or is too large."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise refuse(f"{path.name} is no readable file: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise refuse(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
    return content


def _from_files(files: list[_File], name: str, where: str) -> Dataset:
    files = _without_common_root(files)
    parts = {file.path.parts[0] for file in files if len(file.path.parts) > 1}
    if {"train", "test"} <= parts or parts == {"train"}:
        train = [_below(file) for file in files if file.path.parts[0] == "train"]
        test = [_below(file) for file in files if file.path.parts[0] == "test"]
    else:
        train, test = files, []
    classes = sorted({file.path.parts[0] for file in train if len(file.path.parts) > 1})
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise refuse(
            f"{where} must hold a folder of images for each of at least 2 classes, not {len(classes)}"
            f" (at most {MAX_CLASSES})"
        )
    expected = _decode(train[0])
    train_arrays = _arrays(train, classes, expected)
    test_arrays = _arrays(test, classes, expected) if test else None
    return make_dataset(name, train_arrays, test_arrays, class_names=classes)


def _arrays(files: list[_File], classes: list[str], expected: Array) -> tuple[Array, Array]:
    if len(files) * expected.size > MAX_BYTES:
        raise refuse(
            f"{len(files)} images, {_size(expected)}, have too many pixels; allowed: {MAX_BYTES} bytes"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    images = np.empty((len(files), *expected.shape), dtype=np.uint8)
    labels = np.empty(len(files), dtype=np.int64)
    for index, file in enumerate(files):
        image = _decode(file)
        if image.shape != expected.shape:
            raise refuse(f"{_shown(file)} is {_size(image)}, the others are {_size(expected)}")
        if file.path.parts[0] not in numbers:
            raise refuse(f"{_shown(file)} belongs to a class that the training part lacks")
        images[index] = image
        labels[index] = numbers[file.path.parts[0]]
    return images, labels


def _decode(file: _File, channels: int | None = None) -> Array:
    """Return one picture as (C, H, W) of uint8, grey or colour; as it is where neither is asked for."""
    content = file.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check_picture(image, file)
                pixels = _pixels(image, channels)
    except (InvalidInput, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise refuse(f"{_shown(file)} has too many pixels; allowed: {MAX_SIDE} a side") from error
    # Decoders of broken pictures raise whatever their parsing runs into; a warning counts as one.
    except Exception as error:
        raise refuse(f"{_shown(file)} is no readable {', '.join(FORMATS)} image") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_picture(image: Image.Image, file: _File) -> None:
    """Refuse what the header alone tells to be too large, before a pixel is decoded."""
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise refuse(f"{_shown(file)} is {width}x{height}; allowed: {MAX_SIDE} a side")
    if getattr(image, "n_frames", 1) > 1:
        raise refuse(f"{_shown(file)} holds several pictures; allowed: one")


def _pixels(image: Image.Image, channels: int | None) -> Array:
    is_grey = image.mode in ("1", "L", "I;16", "I", "F", "LA")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if is_grey else "RGB")
    wanted = {1: "L", 3: "RGB"}.get(channels or 0, image.mode)
    return np.asarray(image.convert(wanted))


def _shown(file: _File) -> str:
    return str(file.path)[:200]


def _without_common_root(files: list[_File]) -> list[_File]:
    """Drop one folder that holds everything, as zips of a folder have."""
    usable = [
        file for file in files if not any(part.startswith(("__MACOSX", ".")) for part in file.path.parts)
    ]
    roots = {file.path.parts[0] for file in usable}
    if usable and len(roots) == 1 and roots != {"train"} and all(len(file.path.parts) > 2 for file in usable):
        return [_below(file) for file in usable]
    return usable


def _below(file: _File) -> _File:
    return _File(PurePosixPath(*file.path.parts[1:]), file.read)


def _size(image: Array) -> str:
    return f"{image.shape[2]}x{image.shape[1]} with {image.shape[0]} channels"
