"""Reading folders of images, `<class>/*` or `train/<class>/*` and `test/<class>/*`, and zips of them."""

import io
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
MAX_SIDE = 4096
MAX_FILES = 500_000
MAX_FILE_BYTES = 64 * 1024**2
MAX_BYTES = 8 * 1024**3


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
            files.append(_File(PurePosixPath(path.relative_to(folder).as_posix()), path.read_bytes))
        if len(files) > MAX_FILES:
            raise refuse(f"{folder.name} holds more than {MAX_FILES} images")
    return _from_files(files, name, folder.name)


def read_image_zip(path: Path, name: str) -> Dataset:
    """Read a zip of an image folder, without unpacking it to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            check_members(members, path.name)
            files = [
                _File(PurePosixPath(info.filename), lambda info=info: archive.read(info))  # type: ignore[misc]
                for info in members
                if PurePosixPath(info.filename).suffix.lower() in SUFFIXES
            ]
            return _from_files(files, name, path.name)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise refuse(f"{path.name} is no readable zip file: {error}") from error


def read_image(path: Path) -> Array:
    """Return one picture as (C, H, W) of uint8, grey or colour; raises `InvalidInput` if it cannot be read."""
    return _decode(_File(PurePosixPath(path.name), path.read_bytes))


def check_members(members: Iterable[zipfile.ZipInfo], name: str) -> None:
    """Refuse an archive that reaches outside itself, repeats a name, or would fill the disk."""
    seen: set[str] = set()
    total = 0
    for count, info in enumerate(members, start=1):
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in path.parts[0]:
            raise refuse(f"{name}: the member {info.filename[:80]!r} points outside the archive")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise refuse(f"{name}: the member {info.filename[:80]!r} is a link")
        if info.filename.lower() in seen:
            raise refuse(f"{name}: the member {info.filename[:80]!r} stands twice")
        seen.add(info.filename.lower())
        total += info.file_size
        if count > MAX_FILES or total > MAX_BYTES or info.file_size > MAX_FILE_BYTES:
            raise refuse(f"{name} is too large: at most {MAX_FILES} files, {MAX_FILE_BYTES} bytes each")


def _from_files(files: list[_File], name: str, where: str) -> Dataset:
    files = _without_common_root(files)
    parts = {file.path.parts[0] for file in files if len(file.path.parts) > 1}
    if {"train", "test"} <= parts or parts == {"train"}:
        train = [_below(file) for file in files if file.path.parts[0] == "train"]
        test = [_below(file) for file in files if file.path.parts[0] == "test"]
    else:
        train, test = files, []
    classes = sorted({file.path.parts[0] for file in train if len(file.path.parts) > 1})
    if len(classes) < 2:
        raise refuse(
            f"{where} must hold a folder of images for each of at least 2 classes, not {len(classes)}"
        )
    expected = _decode(train[0])
    train_arrays = _arrays(train, classes, expected)
    test_arrays = _arrays(test, classes, expected) if test else None
    return make_dataset(name, train_arrays, test_arrays, class_names=classes)


def _arrays(files: list[_File], classes: list[str], expected: Array) -> tuple[Array, Array]:
    images = np.empty((len(files), *expected.shape), dtype=np.uint8)
    labels = np.empty(len(files), dtype=np.int64)
    for index, file in enumerate(files):
        image = _decode(file)
        if image.shape != expected.shape:
            raise refuse(f"{file.path} is {_size(image)}, the others are {_size(expected)}")
        if file.path.parts[0] not in classes:
            raise refuse(f"{file.path} belongs to a class that the training part lacks")
        images[index] = image
        labels[index] = classes.index(file.path.parts[0])
    return images, labels


def _decode(file: _File) -> Array:
    """Return one picture as (C, H, W) of uint8, grey or colour."""
    content = file.read()
    if len(content) > MAX_FILE_BYTES:
        raise refuse(f"{file.path} is larger than {MAX_FILE_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if max(image.size) > MAX_SIDE:
                    raise refuse(
                        f"{file.path} is {image.size[0]}x{image.size[1]}; allowed: {MAX_SIDE} a side"
                    )
                grey = image.mode in ("1", "L", "I;16", "I", "F", "LA")
                pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise refuse(f"{file.path} is no readable {', '.join(FORMATS)} image") from error
    except Image.DecompressionBombWarning as error:
        raise refuse(f"{file.path} has too many pixels") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


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
