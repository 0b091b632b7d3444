"""A folder that is there whole, or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas_service.content import FULL
from nas_service.errors import Conflict, ServiceError


@contextmanager
def whole_folder(folder: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Give a folder beside the wanted one, and put it in its place when all went well.

    Args:
        folder: The wanted one; what leads to it is made if missing.
        replaces: Whether what it holds already may go.

    Raises:
        Conflict: It holds something already.
        ServiceError: It cannot be written, for instance since the disk is full; nothing is left there.
    """
    check_free(folder, replaces=replaces)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise ServiceError(f"cannot write beside {folder}: {error.strerror}") from error
    try:
        yield aside
        aside.chmod(0o755)
        _put_in_place(aside, folder)
    except OSError as error:
        if error.filename is not None and not _is_below(error.filename, folder.parent):
            raise
        full = "; nothing was left there" if error.errno in FULL or error.errno == errno.EFBIG else ""
        raise ServiceError(f"cannot write {folder}: {error.strerror}{full}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_free(folder: Path, *, replaces: bool = False) -> None:
    """Raise `Conflict` where a folder holds something that may not be replaced."""
    if folder.is_dir():
        if any(folder.iterdir()) and not replaces:
            raise Conflict(f"{folder} is not empty; choose another folder, or --force to replace it")
    elif folder.exists() or folder.is_symlink():
        raise Conflict(f"{folder} is no folder; choose another name")


def _put_in_place(aside: Path, folder: Path) -> None:
    """Swap the folders; what was there goes last, so that a failure leaves it."""
    if not folder.exists():
        os.replace(aside, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-old-"))
    try:
        os.replace(folder, old / "before")
        try:
            os.replace(aside, folder)
        except OSError:
            os.replace(old / "before", folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _is_below(filename: str | bytes | int, parent: Path) -> bool:
    return not isinstance(filename, int) and Path(os.fsdecode(filename)).is_relative_to(parent)
