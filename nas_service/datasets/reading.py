"""From a path to a data set, whatever its format."""

import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from nas_service.datasets.arrays import idx_stem, read_idx, read_npz
from nas_service.datasets.dataset import Dataset, make_dataset, refuse
from nas_service.datasets.images import check_members, read_image_folder, read_image_zip

FORMATS = "an .npz file, a folder or zip of IDX files, or a folder or zip of images by class"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_dataset(path: Path, name: str | None = None) -> Dataset:
    """Read and check a data set of any accepted format.

    Raises:
        InvalidInput: One line that names the array or file and what is wrong with it.
    """
    chosen = name or _name_from(path)
    if not NAME.fullmatch(chosen):
        raise refuse(
            f"{chosen[:80]!r} is no name; allowed: letters, digits, '.', '_' and '-', at most 100", "name"
        )
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
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * 255 / 16).round().astype("uint8")
    # The digits stand in no order by class, so every sixth example is as good as a drawn one.
    held_out = [index % 6 == 5 for index in range(len(labels))]
    kept = [not is_held for is_held in held_out]
    return make_dataset("digits", (pixels[kept], labels[kept]), (pixels[held_out], labels[held_out]))


def _is_idx(files: dict[str, Path]) -> bool:
    return {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"} <= files.keys()


def _read_zip(path: Path, name: str) -> Dataset:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        check_members(members, path.name)
        stems = {stem: info for info in members if (stem := idx_stem(Path(info.filename).name))}
        if not {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"} <= stems.keys():
            return read_image_zip(path, name)
        with TemporaryDirectory() as folder:
            files = {}
            for stem, info in stems.items():
                files[stem] = Path(folder) / Path(info.filename).name
                files[stem].write_bytes(archive.read(info))
            return read_idx(files, name)


def _name_from(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".npz").removesuffix(".zip")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "dataset"
