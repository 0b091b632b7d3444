"""Reading `.npz` archives and IDX files, with every size checked before anything is read."""

import gzip
import io
import struct
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse

MAX_BYTES = 8 * 1024**3
MAX_RATIO = 200
# Below this size an archive may be as dense as it likes.
SMALL_BYTES = 64 * 1024**2
# (train examples, train labels, test examples, test labels) as data sets in the wild name them.
KEY_SETS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y", None, None),
    ("X", "y", None, None),
)
IDX_NAMES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def read_npz(path: Path, name: str) -> Dataset:
    """Read an `.npz` with x_train, y_train and perhaps x_test, y_test; or x, y; or MedMNIST's names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, path.name)
            keys = next((keys for keys in KEY_SETS if keys[0] in members and keys[1] in members), None)
            if keys is None:
                allowed = "x_train and y_train [and x_test, y_test], or x and y"
                raise refuse(
                    f"{path.name} holds {', '.join(sorted(members)) or 'nothing'}; allowed: {allowed}"
                )
            arrays = {key: _read_npy(archive, members[key], key) for key in keys if key in members}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, NotImplementedError) as error:
        raise refuse(f"{path.name} is no readable npz file: {error}") from error
    return _from_arrays(arrays, keys, name)


def read_idx(files: Mapping[str, Path], name: str) -> Dataset:
    """Read MNIST's format from the files train-images..., train-labels... [t10k-...], plain or .gz."""
    train = tuple(_read_idx_file(files[stem], stem) for stem in IDX_NAMES[0])
    test = None
    if all(stem in files for stem in IDX_NAMES[1]):
        images, labels = (_read_idx_file(files[stem], stem) for stem in IDX_NAMES[1])
        test = (images, labels)
    return make_dataset(name, (train[0], train[1]), test, array_names=IDX_NAMES[0])


def idx_stem(file_name: str) -> str | None:
    """Return the IDX name that a file name stands for, or None."""
    stem = file_name.removesuffix(".gz").replace(".idx", "-idx")
    return stem if any(stem in pair for pair in IDX_NAMES) else None


def _from_arrays(arrays: dict[str, Array], keys: tuple[str | None, ...], name: str) -> Dataset:
    x_train, y_train, x_test, y_test = keys
    has_test = x_test in arrays and y_test in arrays
    if (x_test in arrays) != (y_test in arrays):
        missing = y_test if x_test in arrays else x_test
        raise refuse("is missing beside its counterpart", str(missing))
    test = (arrays[str(x_test)], arrays[str(y_test)]) if has_test else None
    return make_dataset(
        name, (arrays[str(x_train)], arrays[str(y_train)]), test, array_names=(str(x_train), str(y_train))
    )


def _checked_members(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    total = sum(info.file_size for info in archive.infolist())
    packed = max(1, sum(info.compress_size for info in archive.infolist()))
    if total > MAX_BYTES or (total > SMALL_BYTES and total / packed > MAX_RATIO):
        raise refuse(
            f"{name} would unpack to {total} bytes from {packed}; allowed: {MAX_BYTES}, {MAX_RATIO} to one"
        )
    return {info.filename.removesuffix(".npy"): info.filename for info in archive.infolist()}


def _read_npy(archive: zipfile.ZipFile, member: str, key: str) -> Array:
    """Read one array, believing its header only as far as the file's own size bears it out."""
    size = archive.getinfo(member).file_size
    try:
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(stream)
            if dtype.hasobject:
                raise refuse("holds Python objects (a pickle), which are never loaded", key)
            if prod(shape) * dtype.itemsize > size:
                raise refuse(f"claims {shape} of {dtype} in a file of {size} bytes", key)
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise refuse(f"is corrupt: {str(error).splitlines()[0][:200]}", key) from error


def _read_idx_file(path: Path, stem: str) -> Array:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            content = stream.read(MAX_BYTES // 8)
    except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise refuse(f"is no readable file: {error}", stem) from error
    data = io.BytesIO(content)
    head = data.read(4)
    if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 3:
        raise refuse("does not start as an IDX file of unsigned bytes does", stem)
    shape = struct.unpack(f">{head[3]}I", data.read(4 * head[3]).ljust(4 * head[3], b"\x00"))
    rest = data.read()
    if prod(shape) != len(rest):
        raise refuse(f"says {shape} but holds {len(rest)} bytes", stem)
    return np.frombuffer(rest, dtype=np.uint8).reshape(shape).copy()
