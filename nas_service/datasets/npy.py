"""One array of NumPy's `.npy` format, whose header is checked against the file before anything is allocated.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import io
import struct
import warnings
from collections.abc import Callable
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from nas_service.datasets.dataset import SHAPES, Array, refuse

MAGIC = b"\x93NUMPY"
# Which bytes tell the header's length, by the format's major version.
LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
MAX_HEADER = 4096
MAX_AXES = 5
# A label of text has at most so many characters; long doubles and complex numbers are no examples.
MAX_TEXT = 256
MAX_NUMBER_BYTES = 8


def read_npy(open_member: Callable[[], IO[bytes]], size: int, key: str) -> Array:
    """Read an array of exactly `size` bytes, header and all.

    Args:
        open_member: Opens the file at its beginning; called twice.
        size: What the archive says that it unpacks to.
        key: The array's name, for messages.

    Raises:
        InvalidInput: The header is damaged, names a type that is not read, or disagrees with the size.
    """
    with open_member() as stream:
        head = _header_bytes(stream, key)
    shape, dtype = _described(head, key)
    check_dtype(dtype, key)
    if len(shape) > MAX_AXES or any(type(axis) is not int or axis < 1 for axis in shape):
        raise refuse(f"has shape {shape}; allowed: {SHAPES}"[:300], key)
    if len(head) + prod(shape) * dtype.itemsize != size:
        raise refuse(f"claims {shape} of {dtype} in a file of {size} bytes"[:300], key)
    with open_member() as stream:
        array: Array = npy_format.read_array(stream, allow_pickle=False, max_header_size=MAX_HEADER)
    return array


def check_dtype(dtype: np.dtype[Any], key: str) -> None:
    """Refuse all but plain numbers and short text."""
    if dtype.hasobject:
        raise refuse("holds Python objects (a pickle), which are never loaded", key)
    is_number = dtype.kind in "buif" and dtype.itemsize <= MAX_NUMBER_BYTES
    is_text = dtype.kind == "U" and 0 < dtype.itemsize <= 4 * MAX_TEXT
    if not (is_number or is_text):
        told = str(dtype)[:100]
        raise refuse(f"holds {told}; allowed: numbers of at most {MAX_NUMBER_BYTES} bytes, short text", key)


def _header_bytes(stream: IO[bytes], key: str) -> bytes:
    """Return all that stands in front of the values."""
    start = stream.read(len(MAGIC) + 2)
    length_format = LENGTHS.get(start[6]) if len(start) == 8 and start.startswith(MAGIC) else None
    if length_format is None:
        raise refuse("does not start as an .npy file does", key)
    told = stream.read(struct.calcsize(length_format))
    if len(told) < struct.calcsize(length_format):
        raise refuse("ends within its header", key)
    (length,) = struct.unpack(length_format, told)
    if length > MAX_HEADER:
        raise refuse(f"has a header of {length} bytes; allowed: {MAX_HEADER}", key)
    header = stream.read(length)
    if len(header) < length:
        raise refuse("ends within its header", key)
    return start + told + header


def _described(head: bytes, key: str) -> tuple[tuple[Any, ...], np.dtype[Any]]:
    stream = io.BytesIO(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            version = npy_format.read_magic(stream)
            is_first = version == (1, 0)
            read = npy_format.read_array_header_1_0 if is_first else npy_format.read_array_header_2_0
            shape, _, dtype = read(stream, max_header_size=MAX_HEADER)
    # The header is a Python literal: reading it raises whatever Python's parser does.
    except Exception as error:
        raise refuse("has a damaged header", key) from error
    return shape, dtype
