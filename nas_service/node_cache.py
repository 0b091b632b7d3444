"""Copies of files from elsewhere on this node: fetched once, checked when they are used, bounded in size."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nas_service.content import PART, damaged, sha256_of, storage_error

# What was used so recently is never dropped: somebody may be about to open it.
IN_USE_S = 60.0
FETCHES = 2


class NodeCache:
    """A folder of files, of which the least recently used go first.

    Processes and threads that want the same file at once wait for the one that fetches it.

    Args:
        folder: Shared by all processes of the node.
        max_bytes: What the files may take; those in use may take more.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def path(self, name: str, sha256: str, fetch: Callable[[BinaryIO], None]) -> Path:
        """Return the copy of a file: the one that is there, or a fresh one.

        Args:
            name: The copy's name in the folder.
            sha256: What it must hold.
            fetch: Writes the file's bytes; asked once more where other bytes came.

        Raises:
            DamagedFile: Other bytes came twice; nothing is kept.
            StorageFull: The node's disk is full; nothing is kept.
        """
        target = self._folder / name
        try:
            if not _is_whole(target, sha256):
                self._folder.mkdir(parents=True, exist_ok=True)
                with _part(self._folder / f"{PART}{name}") as (stream, part):
                    # Whoever held the file before us may have fetched it.
                    if not _is_whole(target, sha256):
                        _fetch(part, stream, sha256, fetch)
                        os.replace(part, target)
                self._drop_oldest(target)
        except OSError as error:
            raise storage_error(self._folder, error) from error
        return target

    def _drop_oldest(self, kept: Path) -> None:
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.stat()
                # What somebody is fetching is written, not used.
                is_part = path.name.startswith(PART)
                files.append((status.st_mtime if is_part else status.st_atime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for used_at, size, path in sorted(files):
            if total <= self._max_bytes:
                return
            if path != kept and time.time() - used_at > IN_USE_S:
                path.unlink(missing_ok=True)
                total -= size


def _is_whole(path: Path, sha256: str) -> bool:
    """Whether a copy is there and undamaged; it then counts as used now."""
    with suppress(FileNotFoundError):
        if sha256_of(path) == sha256:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
            return True
    return False


def _fetch(part: Path, stream: BinaryIO, sha256: str, fetch: Callable[[BinaryIO], None]) -> None:
    found = ""
    for _ in range(FETCHES):
        stream.seek(0)
        stream.truncate()
        fetch(stream)
        stream.flush()
        found = sha256_of(part)
        if found == sha256:
            return
    raise damaged("the store", sha256, found)


@contextmanager
def _part(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open an unfinished copy alone on this node; it is gone afterwards, renamed or deleted.

    A process that is killed leaves its part to the next one, which writes it anew.
    """
    while True:
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        fcntl.flock(stream, fcntl.LOCK_EX)
        if _is_still(stream, path):
            break
        # The one before us renamed or deleted what we had opened.
        stream.close()
    try:
        yield stream, path
    finally:
        # Still locked: nobody else can have taken this name.
        if _is_still(stream, path):
            path.unlink()
        stream.close()


def _is_still(stream: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False
