"""One data folder with real processes on it, and the checker at the end."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from checker import check, front_of, left_in_spool, read_rows
from client_log import read as read_log
from databases import Database
from machines import eventually
from nursery import Child, Nursery

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, Objective, StudySpec, Training

LEASE_S = 0.6
MODULES = ("nas_service.server", "stub_worker", "errands", "psycopg")


def spec(trials: int = 3, **changes: object) -> StudySpec:
    """Return the spec of a small study."""
    values: dict[str, object] = {
        "dataset": "digits",
        "objectives": (Objective(metric="accuracy"), Objective(metric="params")),
        "constraints": {"params": Constraint(max=40_000)},
        "training": Training(epochs=3),
        "budget": Budget(trials=trials),
    }
    return StudySpec.model_validate({**values, **changes})


class Drill:
    """Starts workers and servers, each with a crash point if wanted, and checks what they leave behind."""

    def __init__(self, nursery: Nursery, home: Path, database: Database, lease_s: float = LEASE_S) -> None:
        self.home, self.nursery, self.database = home, nursery, database
        home.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(home=home, database_url=database.url, lease_s=lease_s)
        self.service = Service.open(self.settings)
        self.ledger = SqlLedger(self.service.engine, settings=self.settings)
        self.port = _free_port()
        self.children: list[Child] = []

    def close(self) -> None:
        for child in self.children:
            if child.code is None:
                child.kill()
        self.service.close()

    def launch(self, trials: int = 3, **changes: object) -> int:
        return self.service.create_study(spec(trials, **changes)).study

    def run(self, target: str, *arguments: object, crash: str = "", **environment: str) -> Child:
        """Start `module:function` in a process of its own."""
        own = {
            "NAS_HOME": str(self.home),
            "NAS_LEASE_S": str(self.settings.lease_s),
            "NAS_PORT": str(self.port),
        }
        own |= {"NAS_CRASH_AT": crash, "NAS_TIMING_NOISE_LIMIT": "1000"}
        own |= {"NAS_DATABASE_URL": self.database.url} if self.database.url else {}
        log = self.home / f"{target.partition(':')[0]}.log"
        child = self.nursery.fork(
            target, [str(argument) for argument in arguments], log, **{**own, **environment}
        )
        self.children.append(child)
        return child

    def worker(self, name: str, study: int, *arguments: str, crash: str = "", **environment: str) -> Child:
        """Start a stub worker that ends with its study."""
        return self.run(
            "stub_worker:main", "--name", name, "--study", study, *arguments, crash=crash, **environment
        )

    def server(self, crash: str = "") -> Child:
        """Start a server and wait until it is ready."""
        child = self.run("nas_service.server:main", crash=crash)
        eventually(self.is_ready)
        return child

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            # Asked often: no certificates are loaded for plain HTTP.
            answer = httpx.get(f"{self.address}/readyz", timeout=5.0, trust_env=False, verify=False)
            return answer.is_success
        return False

    def is_finished(self, study: int) -> bool:
        return self.service.study(study).state == "finished"

    def violations(self, study: int) -> list[str]:
        """Return what does not hold of all rows, files and client logs, and of the study's front."""
        rows = read_rows(self.settings.resolved_database_url)
        found = check(rows, read_log(self.home), self.settings.artifacts_folder) + left_in_spool(self.home)
        served = {member.number for member in self.service.front(study).front}
        if served != front_of(rows, study):
            found.append(f"I6 {served} is served as the front")
        return found


@contextmanager
def drilling(nursery: Nursery, home: Path, database: Database, lease_s: float = LEASE_S) -> Iterator[Drill]:
    """Yield a drill; what it started is gone afterwards."""
    drill = Drill(nursery, home, database, lease_s)
    try:
        yield drill
    finally:
        drill.close()


MakeDrill = Callable[..., Drill]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
