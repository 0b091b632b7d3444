"""The audit log: rows are only ever added."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from nas_service.access import AuditEntry
from nas_service.store.models import AuditRow, table
from search_spaces.errors import printable

AUDIT = table(AuditRow)
# What a person named may be long.
MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, or tried to."""

    action: str
    target: str
    # Empty where nobody was let in.
    actor: str
    role: str
    token_id: int | None = None
    status: int | None = None
    request_id: str | None = None
    address: str | None = None


def append(connection: Connection, deed: Deed) -> None:
    """Write a deed down."""
    texts = {name: printable(getattr(deed, name))[:MAX_TEXT] for name in ("actor", "target")}
    connection.execute(insert(AUDIT).values({**asdict(deed), **texts, "at": datetime.now(UTC)}))


def read(connection: Connection, *, below: int | None, limit: int) -> list[AuditEntry]:
    """Return entries, the newest first; only those before the entry `below`."""
    query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if below is not None:
        query = query.where(AUDIT.c.id < below)
    return [AuditEntry(**row) for row in connection.execute(query).mappings()]
