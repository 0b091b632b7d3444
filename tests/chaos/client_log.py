"""What a client was told, written down before it goes on: the checker compares the database with this."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ClientLog:
    """Appends one line of JSON for each answer, each on the disk before `add` returns.

    Several threads, and a process that was started again under the same name, append to one file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def add(self, call: str, **told: Any) -> None:
        """Write one answer down."""
        line = json.dumps({"call": call, **told}).encode() + b"\n"
        with self._lock:
            os.write(self._descriptor, line)
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield all entries of all clients; a process that was killed may have left half a line."""
    for path in sorted(folder.glob("*.client")):
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            yield {"client": path.stem, **entry}
