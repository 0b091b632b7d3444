"""From a path to a data set, whatever its format."""

import re
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nas_service.datasets.archives import BROKEN, first_line, open_archive
from nas_service.datasets.arrays import read_npz
from nas_service.datasets.dataset import Array, Dataset, make_dataset, refuse
from nas_service.datasets.idx import TRAINING, idx_dataset, idx_stem, read_idx, read_idx_stream
from nas_service.datasets.images import read_image_folder, read_images
from nas_service.datasets.limits import MAX_FILE_BYTES, MAX_FILES

FORMATS = "an .npz file, a folder or zip of IDX files, or a folder or zip of images by class"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_dataset(path: Path, name: str | None = None) -> Dataset:
    """Read and check a data set of any accepted format.

    Raises:
        InvalidInput: One line that names the array or file and what is wrong with it.
    """
    chosen = chosen_name(path, name)
    if path.is_dir():
        files = {stem: item for item in sorted(path.iterdir()) if (stem := idx_stem(item.name))}
        return read_idx(files, chosen) if _is_idx(files) else read_image_folder(path, chosen)
    if not path.is_file():
        raise refuse(f"there is no file or folder {path}")
    if idx_stem(path.name):
        return read_dataset_of_siblings(path, chosen)
    if path.suffix.lower() == ".npz":
        return read_npz(path, chosen)
    if zipfile.is_zipfile(path):
        return _read_zip(path, chosen)
    raise refuse(f"{path.name} is of no accepted format; allowed: {FORMATS}")


def chosen_name(path: Path, name: str | None) -> str:
    """Return what a data set is to be called; raises `InvalidInput` for what is no name."""
    chosen = name or _name_from(path)
    if not NAME.fullmatch(chosen):
        raise refuse(
            f"{chosen[:80]!r} is no name; allowed: letters, digits, '.', '_' and '-', at most 100", "name"
        )
    return chosen


def read_dataset_of_siblings(path: Path, name: str) -> Dataset:
    """Read the IDX files that lie beside one of them."""
    files = {stem: item for item in sorted(path.parent.iterdir()) if (stem := idx_stem(item.name))}
    if not _is_idx(files):
        raise refuse(f"beside {path.name} both train-images-idx3-ubyte and train-labels-idx1-ubyte must lie")
    return read_idx(files, name)


def digits() -> Dataset:
    """Return the 1,797 handwritten digits of 8x8 that ship with scikit-learn; every sixth is for testing.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI repository.
    """
    table = _digits_table()
    images, labels = table[:, :-1], table[:, -1].astype(int)
    pixels = (images.reshape(-1, 8, 8) * 255 / 16).round().astype("uint8")
    # The digits stand in no order by class, so every sixth example is as good as a drawn one.
    held_out = [index % 6 == 5 for index in range(len(labels))]
    kept = [not is_held for is_held in held_out]
    return make_dataset("digits", (pixels[kept], labels[kept]), (pixels[held_out], labels[held_out]))


@cache
def _digits_table() -> Array:
    """Return scikit-learn's file, a row an example; the package itself takes a second to import."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    return np.loadtxt(path, delimiter=",")


def _is_idx(files: dict[str, Path]) -> bool:
    return files.keys() >= TRAINING


def _read_zip(path: Path, name: str) -> Dataset:
    with open_archive(path, max_members=MAX_FILES, max_member_bytes=MAX_FILE_BYTES) as archive:
        found = [(stem, info) for info in archive.infolist() if (stem := idx_stem(Path(info.filename).name))]
        members = dict(found)
        if not members.keys() >= TRAINING:
            return read_images(archive, name, path.name)
        if len(members) < len(found):
            raise refuse(f"{path.name} holds an IDX file twice")
        return idx_dataset({stem: _read_idx_member(archive, info, stem) for stem, info in found}, name)


def _read_idx_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stem: str) -> Array:
    try:
        with archive.open(info) as stream:
            return read_idx_stream(stream, info.file_size, stem, is_packed=info.filename.endswith(".gz"))
    except BROKEN as error:
        raise refuse(f"is corrupt: {first_line(error)}", stem) from error


def _name_from(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".npz").removesuffix(".zip")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "dataset"
