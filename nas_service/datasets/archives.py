"""Zip archives that others made: every rule is checked on the directory, before a member is unpacked.

What breaks a rule is refused and named, never renamed or left out. Nothing is ever unpacked to disk.
"""

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nas_service.datasets.dataset import refuse
from nas_service.datasets.limits import MAX_BYTES, MAX_RATIO, SMALL_BYTES

# What the zip module raises for broken archives, besides its own errors: RuntimeError stands for passwords.
BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
MAX_NAME = 500
# APPNOTE.TXT of PKWARE, 4.3.12 to 4.3.16: the records at the end, and the fixed part of a directory's entry.
END, END_64, LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, LOCATOR_BYTES, END_64_BYTES, ENTRY_BYTES = 22, 20, 56, 46
MAX_COMMENT = 65_535


@contextmanager
def open_archive(path: Path, *, max_members: int, max_member_bytes: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose directory keeps every rule.

    Raises:
        InvalidInput: Names the archive, or the member that breaks a rule.
    """
    try:
        if _count_members(path, max_members) > max_members:
            raise refuse(f"{path.name} holds too many files; allowed: {max_members}")
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise refuse(f"{path.name} is no readable zip file: {first_line(error)}") from error
    with archive:
        check_members(archive.infolist(), path, max_member_bytes)
        yield archive


def check_members(members: Sequence[zipfile.ZipInfo], path: Path, max_member_bytes: int) -> None:
    """Refuse an archive that reaches outside itself, repeats a name, or unpacks to far more than it is."""
    seen: set[str] = set()
    for info in members:
        problem = _problem(info, max_member_bytes)
        folded = unicodedata.normalize("NFKC", info.filename).casefold()
        if folded in seen:
            problem = "stands twice, or differs from another in case only"
        if problem:
            raise refuse(f"{path.name}: the member {info.orig_filename[:80]!r} {problem}")
        seen.add(folded)
    total = sum(info.file_size for info in members)
    packed = min(path.stat().st_size, sum(info.compress_size for info in members))
    check_ratio(total, packed, path.name)


def check_ratio(total: int, packed: int, name: str) -> None:
    """Refuse what would unpack to more than is allowed, at all or for its size."""
    if total > MAX_BYTES or (total > SMALL_BYTES and total > MAX_RATIO * packed):
        raise refuse(
            f"{name} would unpack to {total} bytes from {packed}; allowed: {MAX_BYTES}, {MAX_RATIO} to one"
        )


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, never more than the directory says; raises `InvalidInput` if it is broken."""
    try:
        with archive.open(info) as stream:
            # A read without a number would unpack all that is there and cut it afterwards.
            content = stream.read(info.file_size)
    except BROKEN as error:
        raise refuse(f"{info.filename[:80]} is corrupt: {first_line(error)}") from error
    if len(content) != info.file_size:
        raise refuse(f"{info.filename[:80]} is corrupt: it holds less than it says")
    return content


def first_line(error: BaseException) -> str:
    """Return what an error says, on one line of bounded length."""
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def _problem(info: zipfile.ZipInfo, max_bytes: int) -> str | None:
    path = PurePosixPath(info.filename)
    if not path.parts or "\x00" in info.orig_filename or len(info.filename) > MAX_NAME:
        return f"has no usable name; allowed: 1 to {MAX_NAME} characters"
    if path.is_absolute() or ".." in path.parts or "\\" in info.orig_filename or ":" in path.parts[0]:
        return "points outside the archive"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    if info.flag_bits & ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in METHODS:
        return "is packed in a way that is not read; allowed: stored and deflated"
    if info.file_size > max_bytes:
        return f"has {info.file_size} bytes; allowed: {max_bytes}"
    return None


def _count_members(path: Path, limit: int) -> int:
    """Count the directory's entries; the zip module would first build an object for each, however many."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        start, length = _directory(stream, size)
        if length > limit * (ENTRY_BYTES + MAX_NAME):
            return limit + 1
        stream.seek(start)
        directory = stream.read(length)
    at = count = 0
    while at + ENTRY_BYTES <= len(directory) and count <= limit:
        at += ENTRY_BYTES + sum(struct.unpack_from("<HHH", directory, at + 28))
        count += 1
    return count


def _directory(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Return where the directory starts and its length in bytes, as the records at the end tell."""
    tail_start = max(0, size - END_BYTES - MAX_COMMENT - LOCATOR_BYTES - END_64_BYTES)
    stream.seek(tail_start)
    tail = stream.read(size - tail_start)
    end = tail.rfind(END)
    if end < 0 or len(tail) - end < END_BYTES:
        raise zipfile.BadZipFile("the record at its end is missing")
    length, _ = struct.unpack_from("<II", tail, end + 12)
    end_start = tail_start + end
    if tail[max(0, end - LOCATOR_BYTES) :].startswith(LOCATOR_64):
        end_64 = end - LOCATOR_BYTES - END_64_BYTES
        if end_64 < 0 or not tail[end_64:].startswith(END_64):
            raise zipfile.BadZipFile("the record at its end is damaged")
        (length,) = struct.unpack_from("<Q", tail, end_64 + 40)
        end_start = tail_start + end_64
    if length > end_start:
        raise zipfile.BadZipFile("its directory is said to be longer than the file")
    return end_start - length, length
