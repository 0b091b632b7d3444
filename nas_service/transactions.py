"""What every part of the service shares: reads and writes on one engine."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from nas_service.errors import StorageFull, Unavailable
from nas_service.store.engine import is_full, reading, writing


class Transactions:
    """Reads and writes on one engine; a database that is away raises `Unavailable`."""

    engine: Engine

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(), reading(self.engine) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _translated(), writing(self.engine) as connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        kind = StorageFull if is_full(error) else Unavailable
        raise kind(f"the database does not answer: {str(error.orig).splitlines()[0]}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the connection to the database broke; try again") from error
        raise
