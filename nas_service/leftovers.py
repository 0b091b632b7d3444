"""What a server that was killed in the middle of an upload left in its folder."""

import logging
import shutil
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("nas.server")
# No upload and no reading takes so long.
ABANDONED_S = 24 * 3600.0


def sweep_uploads(folder: Path, older_than_s: float = ABANDONED_S) -> int:
    """Delete abandoned uploads, and return how many there were; those of servers beside this one stay."""
    swept = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than_s:
                shutil.rmtree(path)
                swept += 1
    if swept:
        log.info("deleted %d abandoned uploads", swept)
    return swept
