"""Files by sha256 as the ledger hands them out, and the rows that tell which are stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, func
from sqlalchemy.dialects import postgresql, sqlite

from nas_service.content import FileStore
from nas_service.errors import DamagedFile, NotFound, StorageFull, Unavailable
from nas_service.ledger.protocol import LedgerError, LedgerFull, LedgerRefused, LedgerUnavailable
from nas_service.store.models import ArtifactRow


def record(connection: Connection, sha256: str, size: int) -> None:
    """Remember that a file is about to be stored; stored again, it counts as new, so that none collects it.

    The row comes before the file: whoever deletes a file holds its row, see `nas_service.store.collection`.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    now = func.current_timestamp()
    statement = dialect.insert(ArtifactRow).values(sha256=sha256, size=size, created_at=now)
    again = statement.on_conflict_do_update(index_elements=["sha256"], set_={"created_at": now})
    connection.execute(again)


def dataset_path(datasets: FileStore, sha256: str, *, is_searched: bool) -> Path:
    """Return the canonical file of a data set; raises `LedgerRefused` if there is none of that hash.

    A damaged one is `LedgerUnavailable`, and so is one that is missing although studies search it: it can be
    put back, and nothing is wrong with the trials.
    """
    missing = LedgerUnavailable if is_searched else LedgerRefused
    with told_apart("data set", damaged=LedgerUnavailable, missing=missing):
        return datasets.path(sha256)


def artifact_path(artifacts: FileStore, sha256: str) -> Path:
    """Return a stored file; raises `LedgerRefused` if there is none of that hash, or if it is damaged."""
    with told_apart("artifact", damaged=LedgerRefused):
        return artifacts.path(sha256)


@contextmanager
def told_apart(
    kind: str, *, damaged: type[LedgerError], missing: type[LedgerError] = LedgerRefused
) -> Iterator[None]:
    """Turn what a file store raises into what a ledger raises."""
    try:
        yield
    except NotFound as error:
        raise missing(f"{kind}: {error}") from error
    except DamagedFile as error:
        raise damaged(f"{kind}: {error}") from error
    except StorageFull as error:
        raise LedgerFull(str(error)) from error
    except Unavailable as error:
        raise LedgerUnavailable(str(error)) from error
