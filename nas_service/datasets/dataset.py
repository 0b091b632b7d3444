"""A data set in memory: checked arrays, and the canonical file that workers fetch by hash."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nas_service.content import store_content
from nas_service.datasets.limits import MAX_CLASS_NAME, MAX_CLASSES
from nas_service.errors import FieldError, InvalidInput

MIN_EXAMPLES_A_CLASS = 3
# What examples are kept as; other number types are turned into the nearest of these.
UINT8, INT16 = np.dtype(np.uint8), np.dtype(np.int16)
KEPT_TYPES = (UINT8, INT16, np.dtype(np.float32))
# How many channels of an image or volume are believed without being told which axis they are.
CHANNELS = (1, 3, 4)
SHAPES = "(N, [C,] length), (N, [C,] height, width) or (N, [C,] depth, height, width)"
# Beyond this, whole numbers are no longer told apart by a float.
MAX_FLOAT_LABEL = 2.0**53
Array = NDArray[Any]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples (N, C, *S) of uint8, int16 or float32 and labels (N,) of int64 from 0 to classes - 1.

    Without a test part of its own `x_test` is None; the split then sets one aside.
    """

    name: str
    x_train: Array
    y_train: Labels
    x_test: Array | None
    y_test: Labels | None
    class_names: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, *spatial) of one example."""
        return tuple(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What the catalogue keeps of a data set."""

    name: str
    # (channels, *spatial) of one example.
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    train_examples: int
    test_examples: int


def summarised(dataset: Dataset) -> DatasetSummary:
    """Return what the catalogue keeps of a data set."""
    return DatasetSummary(
        dataset.name,
        dataset.input_shape,
        dataset.class_names,
        len(dataset.y_train),
        0 if dataset.y_test is None else len(dataset.y_test),
    )


def refuse(message: str, name: str = "") -> InvalidInput:
    """Return the error for a bad data set; `name` is the array or file that is wrong."""
    return InvalidInput(FieldError(f"/{name}" if name else "", message))


def make_dataset(
    name: str,
    train: tuple[Array, Array],
    test: tuple[Array, Array] | None = None,
    class_names: Sequence[str] | None = None,
    array_names: tuple[str, str] = ("x_train", "y_train"),
) -> Dataset:
    """Check raw arrays and bring them to the canonical form.

    Args:
        name: What people call the data set.
        train: Examples and labels; examples are (N, C, *S), (N, *S) without channels, or (N, H, W, C) or
            (N, D, H, W, C) with 1, 3 or 4 channels last. Volumes without channels must be cubes.
        test: The set's own test part, if it has one.
        class_names: Names of classes 0, 1, ...; otherwise the labels' own values.
        array_names: What the person calls the arrays, for messages.

    Raises:
        InvalidInput: Names the array and says what is wrong with it.
    """
    x_train = _examples(train[0], array_names[0])
    names, y_train = _labels(train[1], array_names[1], class_names)
    _check_names(names, array_names[1])
    _check_lengths(x_train, y_train, array_names)
    _check_counts(y_train, names, array_names[1])
    if test is None:
        return Dataset(name, x_train, y_train, None, None, names)
    x_train, x_test = _of_one_type(x_train, _examples(test[0], "x_test"))
    y_test = _test_labels(test[1], names, class_names is not None)
    _check_lengths(x_test, y_test, ("x_test", "y_test"))
    if x_test.shape[1:] != x_train.shape[1:]:
        raise refuse(f"its examples are {x_test.shape[1:]}, those of x_train {x_train.shape[1:]}", "x_test")
    return Dataset(name, x_train, y_train, x_test, y_test, names)


def _of_one_type(x_train: Array, x_test: Array) -> tuple[Array, Array]:
    """Return both parts in one type that holds all their values as they are."""
    if x_train.dtype.kind == x_test.dtype.kind or {x_train.dtype, x_test.dtype} <= {UINT8, INT16}:
        common = np.promote_types(x_train.dtype, x_test.dtype)
        return x_train.astype(common, copy=False), x_test.astype(common, copy=False)
    same = x_test.astype(x_train.dtype)
    if not np.array_equal(same, x_test):
        raise refuse(
            f"holds {x_test.dtype} that {x_train.dtype}, the type of x_train, cannot hold; "
            "bring both to one scale and type",
            "x_test",
        )
    return x_train, same


def save_dataset(dataset: Dataset, folder: Path) -> str:
    """Write the canonical file and return its sha256."""
    return store_content(folder, canonical_content(dataset), ".safetensors")


def canonical_content(dataset: Dataset) -> bytes:
    """Return the canonical file's bytes; equal data give equal files."""
    arrays = {"x_train": dataset.x_train, "y_train": dataset.y_train}
    if dataset.x_test is not None and dataset.y_test is not None:
        arrays |= {"x_test": dataset.x_test, "y_test": dataset.y_test}
    names = json.dumps(list(dataset.class_names), ensure_ascii=True)
    contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    content: bytes = save(contiguous, {"class_names": names})
    return content


def load_dataset(path: Path, name: str = "") -> Dataset:
    """Read a canonical file; raises `InvalidInput` if it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {})["class_names"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise refuse(f"{path.name} is no canonical data set file: {error}") from error
    return Dataset(
        name or path.stem,
        arrays["x_train"],
        arrays["y_train"],
        arrays.get("x_test"),
        arrays.get("y_test"),
        tuple(names),
    )


def _examples(array: Array, name: str) -> Array:
    if array.dtype.kind not in "buif":
        raise refuse(f"holds {array.dtype}; allowed: whole or floating-point numbers", name)
    if not 2 <= array.ndim <= 5 or 0 in array.shape:
        raise refuse(f"has shape {array.shape}; allowed: {SHAPES}", name)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array).reshape(len(array), -1).all(axis=1)).sum())
        raise refuse(f"holds NaN or infinite values in {bad} of {len(array)} examples", name)
    kept = _kept_type(array)
    if kept.dtype.kind == "f" and kept.dtype != array.dtype and not np.isfinite(kept).all():
        raise refuse("holds values beyond the range of float32", name)
    return np.ascontiguousarray(_with_channels(kept))


def _kept_type(array: Array) -> Array:
    """Keep small whole numbers small: they are turned into floats on the device, batch by batch."""
    if array.dtype in KEPT_TYPES:
        return array
    if array.dtype.kind in "bui":
        low, high = int(array.min()), int(array.max())
        if low >= 0 and high <= 255:
            return array.astype(np.uint8)
        if low >= -32768 and high <= 32767:
            return array.astype(np.int16)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _with_channels(array: Array) -> Array:
    """Bring examples to (N, C, *S).

    Three axes are a plain image unless the second is a lone channel, and four a plain volume if it is a cube
    too large to be channels: an image with as many channels as rows and columns is rarer.
    """
    if array.ndim == 2:
        return array[:, None]
    if array.ndim == 3:
        return array if array.shape[1] == 1 else array[:, None]
    if array.shape[-1] in CHANNELS and array.shape[1] not in CHANNELS:
        return np.moveaxis(array, -1, 1)
    is_cube = array.ndim == 4 and len(set(array.shape[1:])) == 1 and array.shape[1] not in CHANNELS
    return array[:, None] if is_cube else array


def _labels(array: Array, name: str, class_names: Sequence[str] | None) -> tuple[tuple[str, ...], Labels]:
    values = _flat_labels(array, name)
    present, encoded = np.unique(values, return_inverse=True)
    if len(present) > MAX_CLASSES:
        raise refuse(f"has {len(present)} classes; allowed: at most {MAX_CLASSES}", name)
    if class_names is not None:
        return tuple(class_names), values.astype(np.int64)
    return tuple(str(value) for value in present.tolist()), encoded.astype(np.int64)


def _test_labels(array: Array, names: tuple[str, ...], are_numbers: bool) -> Labels:
    values = _flat_labels(array, "y_test")
    if are_numbers:
        return values.astype(np.int64)
    numbers = {name: number for number, name in enumerate(names)}
    unknown = {str(value) for value in np.unique(values).tolist()} - numbers.keys()
    if unknown:
        raise refuse(f"has the class {sorted(unknown)[0][:60]!r}, which y_train lacks", "y_test")
    return np.array([numbers[str(value)] for value in values.tolist()], dtype=np.int64)


def _flat_labels(array: Array, name: str) -> Array:
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1:
        raise refuse(f"has shape {array.shape}; allowed: one label an example, (N,)", name)
    if flat.dtype.kind == "f" and (np.abs(flat) < MAX_FLOAT_LABEL).all() and (flat == np.round(flat)).all():
        flat = flat.astype(np.int64)
    if flat.dtype.kind not in "buiU":
        raise refuse(f"holds {flat.dtype}; allowed: whole numbers or text", name)
    if flat.dtype.kind == "U" and flat.size and _codes(flat).max() > sys.maxunicode:
        raise refuse("holds text that is no Unicode", name)
    return flat


def _codes(text: Array) -> Array:
    """Return the numbers of the characters: NumPy keeps four bytes for each, whatever they say."""
    plain = np.ascontiguousarray(text)
    return plain.view(np.dtype(np.uint32).newbyteorder(plain.dtype.byteorder))


def _check_names(names: Sequence[str], name: str) -> None:
    """Refuse names of classes that no database, file or page could show as they stand."""
    for known in names:
        if not 0 < len(known) <= MAX_CLASS_NAME or not known.isprintable():
            shown = ascii(known[:MAX_CLASS_NAME])
            raise refuse(f"has the class {shown}; allowed: 1 to {MAX_CLASS_NAME} printable characters", name)


def _check_lengths(examples: Array, labels: Labels, names: tuple[str, str]) -> None:
    if len(examples) != len(labels):
        raise refuse(f"has {len(labels)} labels for {len(examples)} examples in {names[0]}", names[1])


def _check_counts(labels: Labels, names: tuple[str, ...], name: str) -> None:
    counts = np.bincount(labels, minlength=len(names))
    if (counts > 0).sum() < 2:
        raise refuse(f"holds only one class, {names[int(labels[0])]!r}; at least 2 are needed", name)
    rare = int(np.argmin(counts))
    if counts[rare] < MIN_EXAMPLES_A_CLASS:
        raise refuse(
            f"class {names[rare]!r} has {counts[rare]} examples; at least {MIN_EXAMPLES_A_CLASS} are needed",
            name,
        )
