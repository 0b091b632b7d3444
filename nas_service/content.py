"""Files named by their sha256: written whole or not at all, and checked whenever they are read."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from nas_service.crash_points import crash_point
from nas_service.errors import DamagedFile, NotFound, StorageFull, Unavailable

SHA256 = re.compile(r"[0-9a-f]{64}")
PART = ".part-"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileStore(Protocol):
    """Where files of one kind lie, each under its sha256.

    Methods raise `Unavailable` while the store does not answer, and `NotFound` for a hash that it lacks.
    """

    def put(self, content: bytes) -> str:
        """Store bytes and return their sha256; a damaged file of that name is replaced.

        Raises:
            StorageFull: Nothing was stored, and nothing that was stored before is lost.
        """

    def put_file(self, path: Path) -> str:
        """Store a copy of a file as `put` does, without reading it into memory."""

    def path(self, sha256: str) -> Path:
        """Return a local file that has just been found to hold what its name says.

        Raises:
            DamagedFile: The stored bytes are others.
        """

    def digest(self, sha256: str) -> str:
        """Return the sha256 of what is stored, read from the store itself and from no cache."""

    def holds(self, sha256: str) -> bool:
        """Whether there is a file of this name; its bytes are not looked at."""

    def names(self) -> Iterator[str]:
        """Yield the sha256 of every stored file."""

    def modified_at(self, sha256: str) -> float:
        """Return when a file was written, in seconds since 1970 by the store's clock."""

    def delete(self, sha256: str) -> None:
        """Delete a file; one that is gone already is no error."""

    def sweep(self, older_than_s: float) -> int:
        """Delete what writers that were killed left behind, and return how many files that were."""


class FolderStore:
    """`FileStore` in a folder.

    Args:
        folder: Made when the first file comes.
        suffix: Behind the hash in a file's name.
    """

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self._folder = folder
        self._suffix = suffix

    def put(self, content: bytes) -> str:
        return store_content(self._folder, content, self._suffix)

    def put_file(self, path: Path) -> str:
        with path.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            source.seek(0)
            with _told(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                target = self._path(sha256)
                if not (target.is_file() and sha256_of(target) == sha256):
                    _write(target, partial(shutil.copyfileobj, source))
        return sha256

    def path(self, sha256: str) -> Path:
        path = self._existing(sha256)
        found = self.digest(sha256)
        if found != sha256:
            raise damaged(self._folder, sha256, found)
        return path

    def digest(self, sha256: str) -> str:
        with _told(self._folder):
            return sha256_of(self._existing(sha256))

    def holds(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def names(self) -> Iterator[str]:
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.iterdir()):
            name = path.name.removesuffix(self._suffix)
            if SHA256.fullmatch(name) and path.name == name + self._suffix:
                yield name

    def modified_at(self, sha256: str) -> float:
        return self._existing(sha256).stat().st_mtime

    def delete(self, sha256: str) -> None:
        with _told(self._folder):
            self._path(sha256).unlink(missing_ok=True)

    def sweep(self, older_than_s: float) -> int:
        swept = 0
        for path in self._folder.glob(f"{PART}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    swept += 1
        return swept

    def _path(self, sha256: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256[:64]!r} is no sha256")
        return self._folder / f"{sha256}{self._suffix}"

    def _existing(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise NotFound(f"there is no file {sha256[:12]} in {self._folder}")
        return path


def store_content(folder: Path, content: bytes, suffix: str = "") -> str:
    """Write bytes under their sha256 and return it: temporary file, fsync, rename, fsync of the folder.

    Raises:
        StorageFull: The disk is full; nothing was written.
        Unavailable: The folder cannot be written for another reason.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    target = folder / f"{sha256}{suffix}"
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (target.is_file() and sha256_of(target) == sha256):
            _write(target, lambda stream: stream.write(content))
    return sha256


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(where: object, sha256: str, found: str) -> DamagedFile:
    """Return the error for bytes that are not what their name says."""
    return DamagedFile(f"the file {sha256[:12]} in {where} is damaged: its sha256 is {found}")


def storage_error(where: object, error: OSError) -> Unavailable:
    """Return what an error of the file system means to whoever wanted to read or write."""
    if error.errno in FULL:
        return StorageFull(f"no space is left in {where}; nothing that was stored is lost")
    return Unavailable(f"{where} cannot be used: {error.strerror or error}")


def _write(target: Path, fill: Callable[[BinaryIO], object]) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=PART)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            fill(stream)
            crash_point("content.written")
            stream.flush()
            os.fsync(stream.fileno())
        crash_point("content.synced")
        os.replace(temporary, target)
        crash_point("content.renamed")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(folder, error) from error
