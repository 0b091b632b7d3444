"""What every part of the SQL ledger shares: transactions, workers' names and signs of life."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from nas_service.file_stores import open_stores
from nas_service.ledger.protocol import LedgerFull, LedgerRefused, LedgerUnavailable
from nas_service.settings import Settings
from nas_service.store.engine import is_full, now_seconds, reading, writing
from nas_service.store.models import WorkerRow, table

WORKER = table(WorkerRow)
# A lease is renewed this often within its life.
HEARTBEATS_A_LEASE = 4


class Transactions:
    """Reads and writes on one engine; a database that is away raises `LedgerUnavailable`."""

    def __init__(self, engine: Engine, *, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._stores = open_stores(settings)
        self._lease_s = settings.lease_s
        self._names: dict[int, str] = {}

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _translated(), writing(self._engine) as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(), reading(self._engine) as connection:
            yield connection

    def _name_of(self, connection: Connection, worker_id: int) -> str:
        if worker_id not in self._names:
            name = connection.execute(select(WORKER.c.name).where(WORKER.c.id == worker_id)).scalar()
            if name is None:
                raise LedgerRefused(f"there is no worker {worker_id}; register first")
            self._names[worker_id] = name
        return self._names[worker_id]

    def _beat(self, worker_id: int) -> None:
        """Mark a worker alive, but not at every call."""
        with self._reading() as connection:
            now = now_seconds(connection)
            age = connection.execute(
                select(now - WORKER.c.heartbeat_at).where(WORKER.c.id == worker_id)
            ).scalar()
        if age is None:
            raise LedgerRefused(f"there is no worker {worker_id}; register first")
        self._keep_alive(worker_id, age)

    def _keep_alive(self, worker_id: int, age_s: float) -> None:
        """Mark a worker alive that was last marked so many seconds ago."""
        if age_s > self._lease_s / (2 * HEARTBEATS_A_LEASE):
            with self._writing() as connection:
                alive = update(WORKER).where(WORKER.c.id == worker_id)
                connection.execute(alive.values(heartbeat_at=now_seconds(connection), has_left=False))


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the database being away into `LedgerUnavailable`; the caller may repeat the same call."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        kind = LedgerFull if is_full(error) else LedgerUnavailable
        raise kind(str(error.orig).splitlines()[0]) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise LedgerUnavailable("the connection to the database broke") from error
        raise
