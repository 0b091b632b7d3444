"""Files named by their sha256, written whole or not at all."""

import hashlib
import os
import tempfile
from pathlib import Path

from nas_service.crash_points import crash_point


def store_content(folder: Path, content: bytes, suffix: str = "") -> str:
    """Write bytes under their sha256 and return it: temporary file, fsync, rename."""
    sha256 = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{sha256}{suffix}"
    if target.exists():
        return sha256
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            crash_point("content.written")
            stream.flush()
            os.fsync(stream.fileno())
        crash_point("content.synced")
        os.replace(temporary, target)
        crash_point("content.renamed")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return sha256
