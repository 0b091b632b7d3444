"""One array of examples from an `.npy` or `.npz` file, with every size checked before anything is read."""

from functools import partial
from pathlib import Path

from nas_service.datasets.archives import BROKEN, first_line, open_archive
from nas_service.datasets.dataset import Array, refuse
from nas_service.datasets.limits import MAX_ARRAYS, MAX_BYTES
from nas_service.datasets.npy import read_npy

# What examples are called within an `.npz`.
NAMES = ("x", "x_test", "examples", "arr_0")
SUFFIXES = frozenset({".npy", ".npz"})


def read_array(path: Path) -> Array:
    """Return the array of a file, of an `.npz` the one that is named as examples are.

    Raises:
        InvalidInput: It is damaged, holds anything but numbers, or no array of such a name.
    """
    try:
        if path.suffix == ".npy":
            return read_npy(lambda: path.open("rb"), path.stat().st_size, path.name)
        return _member(path)
    except BROKEN as error:
        raise refuse(f"{path.name} cannot be read: {first_line(error)}") from error


def _member(path: Path) -> Array:
    with open_archive(path, max_members=MAX_ARRAYS, max_member_bytes=MAX_BYTES) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        name = next((each for each in NAMES if each in members), None)
        if name is None:
            there_is = ", ".join(sorted(members))[:200] or "nothing"
            raise refuse(f"{path.name} holds {there_is}; allowed: {' or '.join(NAMES)}")
        return read_npy(partial(archive.open, members[name]), members[name].file_size, name)
