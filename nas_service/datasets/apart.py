"""Reading a data set in a process of its own, limited in memory and time, told none of the server's secrets.

Whatever a file does to that process, the caller gets a data set or `InvalidInput`.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

import nas_service
from nas_service.datasets.dataset import DatasetSummary, refuse
from nas_service.datasets.limits import MAX_BYTES, MAX_FILE_BYTES
from nas_service.datasets.reading import chosen_name
from nas_service.errors import FieldError, InvalidInput
from nas_service.reading_process import ANSWER

log = logging.getLogger(__name__)

# Seconds for any file, and how fast a large one is read at least.
BASE_S = 60
BYTES_A_SECOND = 1024**2
MAX_ANSWER_BYTES = 8 * 1024**2
SUMMARY = TypeAdapter(DatasetSummary)


@dataclass(frozen=True, slots=True)
class ReadDataset:
    """A data set that was read and found good."""

    summary: DatasetSummary
    # The canonical file; it is gone when the reader's block ends.
    path: Path


@contextmanager
def read_apart(
    path: Path, name: str | None, *, scratch: Path, memory_bytes: int, seconds: int | None = None
) -> Iterator[ReadDataset]:
    """Read and check a data set of any accepted format in a process of its own.

    Args:
        path: A file or folder.
        name: What people are to call it; the file's own name by default.
        scratch: Where the canonical file may lie for a while.
        memory_bytes: What reading may allocate.
        seconds: How long it may take; by default by the file's size.

    Raises:
        InvalidInput: What is wrong with it, or that the process did not survive it.
    """
    name = chosen_name(path, name)
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="read-") as folder:
        job = {
            "path": str(path.absolute()),
            "name": name,
            "folder": folder,
            "memory_bytes": memory_bytes,
            "seconds": seconds or _patience_s(path),
            "file_bytes": MAX_BYTES + MAX_FILE_BYTES,
        }
        _run(job, path.name)
        yield _read_dataset(Path(folder), path.name)


def _run(job: dict[str, Any], name: str) -> None:
    said = Path(job["folder"]) / "said"
    with said.open("wb") as stream:
        process = subprocess.Popen(
            # -P: neither the working folder nor a file in it is ever imported.
            [sys.executable, "-P", "-m", "nas_service.reading_process", json.dumps(job)],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        status = process.wait(job["seconds"] + 1)
    except subprocess.TimeoutExpired as error:
        raise refuse(f"{name} took longer than {job['seconds']} seconds to read") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status != 0:
        log.warning("reading a data set ended with status %s: %s", status, _end_of(said))
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise refuse(f"{name} cannot be read: the process that read it died ({how})")


def _environment() -> dict[str, str]:
    """Return all that the process is told: where the code lies, and to use one thread."""
    root = Path(nas_service.__file__).parents[1]
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return {**kept, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _read_dataset(folder: Path, name: str) -> ReadDataset:
    answer = folder / ANSWER
    if not answer.is_file() or answer.stat().st_size > MAX_ANSWER_BYTES:
        raise refuse(f"{name} cannot be read: the process that read it gave no answer")
    found = json.loads(answer.read_bytes())
    if "errors" in found:
        raise InvalidInput(*(FieldError(**error) for error in found["errors"]))
    return ReadDataset(SUMMARY.validate_python(found["dataset"]), folder / f"{found['sha256']}.safetensors")


def _patience_s(path: Path) -> int:
    size = path.stat().st_size if path.is_file() else MAX_BYTES
    return BASE_S + size // BYTES_A_SECOND


def _end_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-2000:]
