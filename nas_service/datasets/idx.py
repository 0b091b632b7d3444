"""Files of MNIST's IDX format, plain or packed by gzip: magic, axes and length must agree.

Format: http://yann.lecun.com/exdb/mnist/, "THE IDX FILE FORMAT".
"""

import gzip
import struct
import zlib
from collections.abc import Mapping
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from nas_service.datasets.archives import check_ratio, first_line
from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse

IDX_NAMES = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
TRAINING = frozenset(IDX_NAMES[0])
UNSIGNED_BYTES = b"\x00\x00\x08"


def idx_stem(file_name: str) -> str | None:
    """Return the IDX name that a file name stands for, or None."""
    stem = file_name.removesuffix(".gz").replace(".idx", "-idx")
    return stem if any(stem in pair for pair in IDX_NAMES) else None


def read_idx(files: Mapping[str, Path], name: str) -> Dataset:
    """Read MNIST's format from the files train-images..., train-labels... [t10k-...], plain or .gz."""
    arrays = {}
    for stem, path in files.items():
        try:
            with path.open("rb") as stream:
                arrays[stem] = read_idx_stream(
                    stream, path.stat().st_size, stem, is_packed=path.name.endswith(".gz")
                )
        except OSError as error:
            raise refuse(f"is no readable file: {error.strerror or first_line(error)}", stem) from error
    return idx_dataset(arrays, name)


def idx_dataset(arrays: Mapping[str, Array], name: str) -> Dataset:
    """Return the data set of arrays by their IDX names."""
    (images, labels), (test_images, test_labels) = IDX_NAMES
    has_test = test_images in arrays and test_labels in arrays
    test = (arrays[test_images], arrays[test_labels]) if has_test else None
    return make_dataset(name, (arrays[images], arrays[labels]), test, array_names=IDX_NAMES[0])


def read_idx_stream(stream: IO[bytes], size: int, stem: str, *, is_packed: bool) -> Array:
    """Read one file of `size` bytes, of which gzip's part is unpacked only as far as its header claims.

    Raises:
        InvalidInput: Names the file, and what in it disagrees.
    """
    try:
        with gzip.GzipFile(fileobj=stream) if is_packed else nullcontext(stream) as plain:
            shape = _shape(plain, stem)
            total = prod(shape)
            if is_packed:
                check_ratio(total, size, stem)
            elif 4 + 4 * len(shape) + total != size:
                raise refuse(f"says {shape} but is {size} bytes long", stem)
            content = plain.read(total)
            is_longer = bool(plain.read(1))
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise refuse(f"is no readable file: {first_line(error)}", stem) from error
    if len(content) < total or is_longer:
        raise refuse(f"says {shape} but holds {'more' if is_longer else f'{len(content)} bytes'}", stem)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _shape(stream: IO[bytes] | gzip.GzipFile, stem: str) -> tuple[int, ...]:
    head = stream.read(4)
    axes = 1 if "labels" in stem else 3
    if head != UNSIGNED_BYTES + bytes([axes]):
        raise refuse(f"does not start as an IDX file of unsigned bytes with {axes} axes does", stem)
    shape: tuple[int, ...] = struct.unpack(f">{axes}I", stream.read(4 * axes))
    return shape
