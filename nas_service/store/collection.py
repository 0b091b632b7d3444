"""Deleting stored artifacts that nothing refers to any more, and finding those that are damaged.

Whoever puts an artifact writes its row first and the file then (`nas_service.ledger.files.record`). Whoever
deletes one deletes the row, then the file, then commits: a put of the same bytes waits for the row, and then
writes the file anew. A row without a file is harmless; a file is never lost behind its writer's back.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import JSON, Connection, Engine, delete, insert, select

from nas_service.content import SHA256, FileStore
from nas_service.errors import NotFound
from nas_service.file_stores import FileStores
from nas_service.store.engine import now_seconds, writing
from nas_service.store.models import ArtifactRow, DatasetRow, JobRow, StudyRow, TrialRow, table

ARTIFACT, TRIAL, DATASET, STUDY = table(ArtifactRow), table(TrialRow), table(DatasetRow), table(StudyRow)
JOB = table(JobRow)
# A result on its way refers to an artifact that no row names yet.
GRACE_S = 24 * 3600.0
# The trials' columns of JSON in which no hash of a file can stand. Any other counts, also one added later.
WITHOUT_FILES = frozenset(
    {
        "params",
        "distributions",
        "attributes",
        "architecture",
        "metrics",
        "violations",
        "timings",
        "latency",
        "versions",
    }
)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, or with `dry_run` would do."""

    artifacts: int
    bytes: int
    # What writers that were killed left behind.
    leftovers: int
    # Artifacts that stay: something refers to them, or they are too young.
    kept: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """A file that rows refer to, and what is wrong with it."""

    # "artifact" or "data set".
    kind: str
    sha256: str
    # "missing" or "damaged".
    flaw: str


def collect(
    engine: Engine,
    artifacts: FileStore,
    *,
    older_than_s: float = GRACE_S,
    dry_run: bool = False,
    unknown: bool = False,
) -> Collected:
    """Delete artifacts that no trial or job refers to and that were last put before the grace period.

    Args:
        engine: The database.
        artifacts: The store that it speaks of.
        older_than_s: The grace period in seconds, by the database's clock.
        dry_run: Only say what would be deleted.
        unknown: Also delete files that this database has never heard of; wrong where another database keeps
            its artifacts in the same place.
    """
    with engine.begin() as connection:
        cutoff = _now(connection) - timedelta(seconds=older_than_s)
        rows = {row.sha256: row for row in connection.execute(select(ARTIFACT))}
        used = _referred_to(connection)
    old = {sha256: row.size for sha256, row in rows.items() if row.created_at < cutoff and sha256 not in used}
    strangers = list(_strangers(artifacts, rows.keys() | used, cutoff)) if unknown else []
    if dry_run:
        return Collected(len(old) + len(strangers), sum(old.values()), 0, len(rows) - len(old))
    if strangers:
        _adopt(engine, strangers)
    gone = [sha256 for sha256 in (*old, *strangers) if _deleted(engine, artifacts, sha256, cutoff)]
    freed = sum(old.get(sha256, 0) for sha256 in gone)
    kept = len(rows) + len(strangers) - len(gone)
    return Collected(len(gone), freed, artifacts.sweep(older_than_s), kept)


def flaws(engine: Engine, stores: FileStores) -> Iterator[Flaw]:
    """Yield every file that is referred to but missing or damaged, read from the stores themselves."""
    with engine.begin() as connection:
        known = set(connection.execute(select(ARTIFACT.c.sha256)).scalars())
        used = _referred_to(connection) & known
        datasets = {
            sha256
            for column in (DATASET.c.sha256, STUDY.c.dataset_sha256)
            for sha256 in connection.execute(select(column)).scalars()
        }
    for kind, store, names in (("artifact", stores.artifacts, used), ("data set", stores.datasets, datasets)):
        for sha256 in sorted(names):
            flaw = _flaw(store, sha256)
            if flaw:
                yield Flaw(kind, sha256, flaw)


def _flaw(store: FileStore, sha256: str) -> str | None:
    try:
        return None if store.digest(sha256) == sha256 else "damaged"
    except NotFound:
        return "missing"


def _now(connection: Connection) -> datetime:
    return datetime.fromtimestamp(connection.execute(select(now_seconds(connection))).scalar_one(), UTC)


def _referred_to(connection: Connection) -> set[str]:
    columns = [
        column for column in TRIAL.c if isinstance(column.type, JSON) and column.name not in WITHOUT_FILES
    ]
    found: set[str] = set()
    for wanted in (columns, [JOB.c.payload, JOB.c.result, JOB.c.artifacts]):
        # Read in parts, which on PostgreSQL needs a transaction.
        for row in connection.execution_options(yield_per=1000).execute(select(*wanted)):
            found.update(SHA256.findall(json.dumps(list(row))))
    return found


def _strangers(artifacts: FileStore, known: set[str], cutoff: datetime) -> Iterator[str]:
    for sha256 in artifacts.names():
        if sha256 not in known and artifacts.modified_at(sha256) < cutoff.timestamp():
            yield sha256


def _adopt(engine: Engine, strangers: list[str]) -> None:
    """Give files a row each, so that they are deleted as all others are; one just put keeps its own."""
    with writing(engine) as connection:
        known = set(connection.execute(select(ARTIFACT.c.sha256)).scalars())
        epoch = datetime.fromtimestamp(0, UTC)
        rows = [
            {"sha256": sha256, "size": 0, "created_at": epoch} for sha256 in strangers if sha256 not in known
        ]
        if rows:
            connection.execute(insert(ARTIFACT), rows)


def _deleted(engine: Engine, artifacts: FileStore, sha256: str, cutoff: datetime) -> bool:
    with writing(engine) as connection:
        old = (ARTIFACT.c.sha256 == sha256) & (ARTIFACT.c.created_at < cutoff)
        if not connection.execute(delete(ARTIFACT).where(old)).rowcount:
            return False
        artifacts.delete(sha256)
    return True
