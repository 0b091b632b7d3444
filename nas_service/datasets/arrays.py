"""Reading `.npz` archives, with every size checked before anything is read."""

from functools import partial
from pathlib import Path

from nas_service.datasets.archives import BROKEN, first_line, open_archive
from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse
from nas_service.datasets.limits import MAX_ARRAYS, MAX_BYTES
from nas_service.datasets.npy import read_npy

# (train examples, train labels, test examples, test labels) as data sets in the wild name them.
KEY_SETS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y", None, None),
    ("X", "y", None, None),
)


def read_npz(path: Path, name: str) -> Dataset:
    """Read an `.npz` with x_train, y_train and perhaps x_test, y_test; or x, y; or MedMNIST's names."""
    with open_archive(path, max_members=MAX_ARRAYS, max_member_bytes=MAX_BYTES) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise refuse(f"{path.name} holds an array twice")
        keys = next((keys for keys in KEY_SETS if keys[0] in members and keys[1] in members), None)
        if keys is None:
            allowed = "x_train and y_train [and x_test, y_test], or x and y"
            there_is = ", ".join(sorted(members))[:200] or "nothing"
            raise refuse(f"{path.name} holds {there_is}; allowed: {allowed}")
        arrays = {}
        for key in filter(members.__contains__, keys):
            info = members[str(key)]
            try:
                arrays[str(key)] = read_npy(partial(archive.open, info), info.file_size, str(key))
            except BROKEN as error:
                raise refuse(f"is corrupt: {first_line(error)}", str(key)) from error
    return _from_arrays(arrays, keys, name)


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
