"""One Ray cluster on loopback: two actors finish a study although one of them is killed."""

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import PATIENCE_S, Cluster
from machines import LEASE_S, eventually
from test_kills import in_training, is_finished, launch

from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.views import TrialView

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> Path:
    home = tmp_path_factory.mktemp("cluster") / "home"
    home.mkdir()
    shutil.copy(new_database, home / "nas.db")
    return home


@pytest.fixture(scope="module")
def ray_port() -> int:
    return _free_port()


@pytest.fixture(scope="module")
def cluster(home: Path, ray_port: int) -> Iterator[Cluster]:
    """Start `nas up --engine ray` with two slots, once for all tests of this module."""
    cluster = Cluster(home, home.parent, LEASE_S)
    cluster.up("--slots", "2", "--port", str(_free_port()), "--ray-port", str(ray_port))
    try:
        cluster.until(2, os.uname().nodename)
        yield cluster
    finally:
        cluster.end()
        assert not _processes_of(home), "what a cluster starts ends with it"


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, database_url=None, lease_s=LEASE_S)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    opened = Service.open(settings)
    yield opened
    opened.close()


def test_a_study_survives_the_kill_of_an_actor(
    cluster: Cluster, service: Service, check_rows: Callable[[int, int], None]
) -> None:
    eventually(lambda: sum(worker.is_alive for worker in service.workers()) == 2, PATIENCE_S)
    study = launch(service, trials=3, epochs=30)
    trial = eventually(lambda: in_training(service, study), PATIENCE_S)
    assert isinstance(trial, TrialView)
    worker = next(worker for worker in service.workers() if worker.name == trial.worker)
    actor = _parent(worker.pid)
    assert _command(actor).startswith("ray::SlotWorker")
    os.kill(actor, signal.SIGKILL)
    eventually(lambda: _restarted(service, worker.name, worker.pid), PATIENCE_S)
    eventually(lambda: is_finished(service, study), PATIENCE_S)
    after = service.trial(trial.id)
    assert (after.state, after.params) == ("complete", trial.params)
    assert after.attempt > trial.attempt
    places = {(worker.versions["node"], worker.versions["slot"]) for worker in service.workers()}
    assert places == {(os.uname().nodename, "1"), (os.uname().nodename, "2")}
    check_rows(study, 3)


def test_a_worker_holds_neither_a_database_password_nor_the_token_in_its_arguments(
    cluster: Cluster, service: Service
) -> None:
    token = (cluster.home / "token").read_text().strip()
    for worker in service.workers():
        environment = Path(f"/proc/{worker.pid}/environ").read_bytes().decode()
        assert "NAS_DATABASE_URL" not in environment
        assert token not in _command(worker.pid) + environment


@pytest.mark.parametrize(
    ("token", "told"), [(None, "no Ray token"), ("0" * 64, "refuses the Ray token")], ids=["missing", "wrong"]
)
def test_a_machine_without_the_token_cannot_join(
    token: str | None, told: str, cluster: Cluster, ray_port: int, tmp_path: Path
) -> None:
    status = cluster.files.status()
    path = tmp_path / "ray-token"
    if token:
        path.write_text(token)
    name = f"stranger-{told.split()[0]}"
    process = cluster.join(
        name, f"127.0.0.1:{ray_port}", "--server", "http://127.0.0.1:1", "--ray-token-file", str(path)
    )
    assert process.wait(timeout=PATIENCE_S) == 1
    assert told in cluster.log(name).splitlines()[-1]
    assert cluster.files.status() == status


def test_a_surplus_actor_drains_and_is_placed_again_when_wanted(cluster: Cluster, service: Service) -> None:
    node = os.uname().nodename
    cluster.files.want(1)
    cluster.until(1, node)
    eventually(
        lambda: sorted(worker.state for worker in service.workers()) == ["idle", "stopped"], PATIENCE_S
    )
    cluster.files.want(2)
    cluster.until(2, node)
    eventually(lambda: sum(worker.is_alive for worker in service.workers()) == 2, PATIENCE_S)


def _restarted(service: Service, name: str, pid: int) -> bool:
    return any(worker.name == name and worker.pid != pid and worker.is_alive for worker in service.workers())


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _processes_of(home: Path) -> list[str]:
    """Return the command lines of living processes that have this data folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if f"NAS_HOME={home}\0".encode() in environment and command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
