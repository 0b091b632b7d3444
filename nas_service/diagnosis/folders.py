"""The data folder, and where artifacts lie."""

import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from nas_service.diagnosis.check import Check, fail, ok, warn
from nas_service.file_stores import open_stores
from nas_service.settings import Settings
from nas_service.store.engine import NETWORK_FILE_SYSTEMS, file_system

LITTLE_SPACE_BYTES = 5e9
NO_SPACE_BYTES = 0.5e9
PROBE_BYTES = 1024 * 1024


def check_folder(settings: Settings) -> list[Check]:
    """Return whether the data folder can be written, has room, and keeps its token secret."""
    home = settings.data_home
    if not home.is_dir():
        return [warn("folder", f"{home} is not there yet", "the first 'nas up' makes it")]
    if not os.access(home, os.W_OK | os.X_OK):
        return [fail("folder", f"{home} cannot be written", "give it to this user, or set NAS_HOME")]
    return [_room(home), _token(home / "token")]


def check_artifacts(settings: Settings) -> list[Check]:
    """Return whether a file can be stored under its sha256, read back whole, and deleted."""
    if not settings.data_home.is_dir():
        return []
    where = settings.artifacts_url or settings.artifacts_folder
    started = time.perf_counter()
    store = open_stores(settings).artifacts
    sha256 = store.put(secrets.token_bytes(PROBE_BYTES))
    try:
        found = store.digest(sha256)
    finally:
        store.delete(sha256)
    if found != sha256:
        return [fail("artifacts", f"{where} gives back other bytes than it got", "check its disk")]
    took_ms = 1e3 * (time.perf_counter() - started)
    return [ok("artifacts", f"{where}: 1 MB written, read, checked and deleted in {took_ms:.0f} ms")]


def _room(home: Path) -> Check:
    free, kind = shutil.disk_usage(home).free, file_system(home)
    found = f"{home} on {kind or 'an unknown file system'}, {free / 1e9:.1f} GB free"
    if free < NO_SPACE_BYTES:
        return fail("folder", found, "make room before results are lost")
    if free < LITTLE_SPACE_BYTES:
        return warn("folder", found, "make room soon")
    if kind in NETWORK_FILE_SYSTEMS:
        return warn("folder", found, "SQLite must not lie there: use NAS_DATABASE_URL")
    return ok("folder", found)


def _token(path: Path) -> Check:
    if not path.exists():
        return ok("token", f"none yet at {path}; the server makes one")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return fail("token", f"{path} can be read by others (mode {mode:o})", f"run: chmod 600 {path}")
    return ok("token", f"{path} is for its owner alone")
