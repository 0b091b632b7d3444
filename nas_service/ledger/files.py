"""Files by sha256: written whole or not at all, checked when read."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.ledger.protocol import LedgerRefused
from nas_service.settings import Settings
from nas_service.store.models import ArtifactRow

SHA256 = re.compile(r"[0-9a-f]{64}")


def record(connection: Connection, sha256: str, size: int) -> None:
    """Remember that a file is stored."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"sha256": sha256, "size": size, "created_at": datetime.now(UTC)}
    connection.execute(dialect.insert(ArtifactRow).values(values).on_conflict_do_nothing())


def dataset_path(settings: Settings, sha256: str) -> Path:
    """Return the canonical file of a data set; raises `LedgerRefused` if there is none of that hash."""
    if not SHA256.fullmatch(sha256):
        raise LedgerRefused(f"{sha256[:80]!r} is no sha256")
    path = settings.datasets_folder / f"{sha256}.safetensors"
    if not path.is_file():
        raise LedgerRefused(f"the data set {sha256[:12]} is not in {settings.datasets_folder}")
    return path


def artifact_path(settings: Settings, sha256: str) -> Path:
    """Return a stored file; raises `LedgerRefused` if there is none of that hash, or if it is damaged."""
    path = settings.artifacts_folder / sha256
    if not SHA256.fullmatch(sha256) or not path.is_file():
        raise LedgerRefused(f"the artifact {sha256[:12]!r} is not in {settings.artifacts_folder}")
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise LedgerRefused(f"the artifact {sha256[:12]} is damaged")
    return path
