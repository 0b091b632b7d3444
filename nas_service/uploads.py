"""A data set on this machine as one file to send."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nas_service.datasets.idx import idx_stem


@contextmanager
def as_one_file(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a data set for sending, with its file name; a folder, or IDX files that lie together, as a zip."""
    if path.is_file() and not idx_stem(path.name):
        with path.open("rb") as stream:
            yield stream, path.name
        return
    folder = path if path.is_dir() else path.parent
    members = sorted(folder.rglob("*") if path.is_dir() else folder.iterdir())
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for member in members:
                if member.is_file() and (path.is_dir() or idx_stem(member.name)):
                    archive.write(member, member.relative_to(folder).as_posix())
        stream.seek(0)
        yield stream, f"{path.name.removesuffix('.gz')}.zip"
