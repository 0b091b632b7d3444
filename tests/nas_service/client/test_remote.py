"""The client against a real server: the same answers and errors as the service in process."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from nas_service.cli.main import run
from nas_service.client import RemoteService
from nas_service.errors import (
    AccessDenied,
    Conflict,
    InvalidInput,
    NotFound,
    ServerUnreachable,
    ServiceError,
    Stale,
    Unavailable,
)
from nas_service.event_stream import Frame, parse
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Constraint, StudySpec, Training
from nas_service.trials import Proposal

SPEC = StudySpec(
    name="löwe / 1?",
    dataset="digits",
    constraints={"params": Constraint(max=20_000)},
    training=Training(epochs=3),
    budget=Budget(trials=5),
)


@pytest.fixture(autouse=True)
def _own_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    for name in ("NAS_SERVER", "NAS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NAS_DATABASE_URL", settings.resolved_database_url)


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0})) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[RemoteService]:
    with RemoteService(address) as client:
        yield client


def test_what_it_shares_with_the_service_is_called_and_answered_alike() -> None:
    shared = [
        (name, method)
        for name, method in inspect.getmembers(RemoteService, inspect.isfunction)
        if name != "close" and name[0] != "_" and hasattr(Service, name)
    ]
    assert len(shared) > 30
    for name, method in shared:
        ours, theirs = inspect.signature(method), inspect.signature(getattr(Service, name))
        assert list(ours.parameters) == list(theirs.parameters), name
        assert ours.return_annotation == theirs.return_annotation, name


def test_it_gives_the_answers_of_the_service(
    client: RemoteService, service: Service, finished_study: int
) -> None:
    assert client.result(finished_study).front == service.result(finished_study).front
    assert client.result(finished_study).front
    assert client.front(finished_study) == service.front(finished_study)
    metrics = ("accuracy", "params")
    assert client.front(finished_study, metrics) == service.front(finished_study, metrics)
    assert client.trials(finished_study, page_size=5) == service.trials(finished_study, page_size=5)
    pruned = service.trials(finished_study, state="pruned", order_by="accuracy")
    assert client.trials(finished_study, state="pruned", order_by="accuracy") == pruned
    trial = service.trial_by_number(finished_study, 0)
    assert client.trial_by_number(finished_study, 0) == trial
    assert client.trial(trial.id) == trial
    assert client.curve(trial.id) == service.curve(trial.id)
    assert client.families() == service.families()
    assert client.family("pyramidal") == service.family("pyramidal")
    assert client.datasets() == service.datasets()
    assert client.dataset("digits") == service.dataset("digits")
    assert client.workers() == service.workers()
    assert client.devices() == service.devices()
    assert client.events(3, finished_study, 10) == service.events(3, finished_study, 10)
    assert client.preflight(SPEC, 20).sampled == 20


def test_a_study_s_life(client: RemoteService, make_proposal: Callable[..., Proposal]) -> None:
    study = client.create_study(SPEC)
    assert study.spec == SPEC
    assert client.find_study(SPEC.name).study == client.find_study(str(study.study)).study == study.study
    assert client.studies(state="running").items[0].study == study.study
    assert client.enqueue(study.study, make_proposal(1).architecture).state == "waiting"
    assert client.pause(study.study).state == "paused"
    assert client.resume(study.study).state == "running"
    with pytest.raises(Stale):
        client.change_space(study.study, "two_conv", sequence=study.sequence)
    sequence = client.study(study.study).sequence
    assert client.change_space(study.study, "two_conv", sequence=sequence).spec.space == "two_conv"
    assert client.change_space(study.study, "pyramidal").space_version == 3
    assert [version.version for version in client.spaces(study.study)] == [1, 2, 3]
    assert client.drain(study.study).state == "draining"
    assert client.cancel(study.study).state == "cancelled"
    client.delete(study.study)
    with pytest.raises(NotFound, match=str(study.study)):
        client.study(study.study)


def test_errors_are_those_of_the_service(client: RemoteService, service: Service) -> None:
    study = client.create_study(SPEC).study
    client.pause(study)
    spec = SPEC.model_copy(update={"dataset": "nowhere"})
    calls: tuple[tuple[type[ServiceError], Callable[[Service | RemoteService], object]], ...] = (
        (NotFound, lambda backend: backend.study(77)),
        (NotFound, lambda backend: backend.family("pyramid")),
        (NotFound, lambda backend: backend.find_study("nothing")),
        (NotFound, lambda backend: backend.artifact_path("0" * 64)),
        (NotFound, lambda backend: backend.artifact_path("../token")),
        (Conflict, lambda backend: backend.pause(study)),
        (InvalidInput, lambda backend: backend.create_study(spec)),
        (InvalidInput, lambda backend: backend.trials(study, order_by="worker")),
        (InvalidInput, lambda backend: backend.enqueue(study, {"stages": []})),
    )
    for kind, call in calls:
        with pytest.raises(kind) as ours:
            call(client)
        with pytest.raises(kind) as theirs:
            call(service)
        assert str(ours.value) == str(theirs.value)


def test_data_sets_are_uploaded_whatever_their_form(client: RemoteService, tmp_path: Path) -> None:
    from PIL import Image

    images, labels = np.zeros((40, 8, 8), dtype=np.uint8), np.arange(40) % 4
    np.savez(tmp_path / "shapes.npz", x=images, y=labels)
    assert client.add_dataset(tmp_path / "shapes.npz", None).name == "shapes"
    for index in range(24):
        folder = tmp_path / "pets" / ("cat" if index % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), index * 10).save(folder / f"{index}.png")
    assert client.add_dataset(tmp_path / "pets", None).class_names == ["cat", "dog"]
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match=r"bad\.npz"):
        client.add_dataset(tmp_path / "bad.npz", None)


def test_an_artifact_is_a_verified_local_copy(
    client: RemoteService, ledger: SqlLedger, settings: Settings
) -> None:
    sha256 = ledger.put_artifact(b"weights")
    path = client.artifact_path(sha256)
    assert path.read_bytes() == b"weights"
    (settings.artifacts_folder / sha256).write_bytes(b"damaged")
    path.unlink()
    with pytest.raises(Unavailable, match="sha256"):
        client.artifact_path(sha256)
    assert not path.exists()


@contextmanager
def restless(service: Service, study: int) -> Iterator[None]:
    """Pause and resume a study over and over, so that whoever follows it has something to see."""
    enough = threading.Event()

    def change() -> None:
        while not enough.wait(0.02):
            service.pause(study)
            service.resume(study)

    changing = threading.Thread(target=change)
    changing.start()
    yield
    enough.set()
    changing.join()


def test_following_ends_with_the_study(client: RemoteService, service: Service) -> None:
    study = client.create_study(SPEC).study
    events = client.follow(study)
    with restless(service, study):
        seen = [next(events)]
    client.cancel(study)
    seen += events
    assert seen == service.events(seen[0].sequence - 1, study)
    assert seen[-1].data["state"] == "cancelled"
    assert list(client.follow(study)) == []


def test_following_goes_on_after_a_restart_of_the_server(service: Service, settings: Settings) -> None:
    study = service.create_study(SPEC).study
    with serving(settings.model_copy(update={"port": 0})) as address:
        client = RemoteService(address)
        events = client.follow(study)
        with restless(service, study):
            seen = [next(events)]
    service.pause(study)
    service.cancel(study)
    again = settings.model_copy(update={"port": int(address.rpartition(":")[2])})
    with client, serving(again):
        seen += events
    assert seen == service.events(seen[0].sequence - 1, study)


def test_a_server_that_is_away_is_named_with_what_to_do() -> None:
    with RemoteService("http://127.0.0.1:9") as client, pytest.raises(ServerUnreachable) as caught:
        client.studies()
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "nas up" in str(caught.value)


@pytest.mark.parametrize("server", ["127.0.0.1:8000", "nonsense", "http://[broken"])
def test_an_address_that_is_none_is_said_so(server: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RemoteService(server)
    assert server in str(caught.value)
    assert "http://HOST:PORT" in str(caught.value)


def test_the_token_of_the_data_folder_is_used_on_this_machine_only(
    service: Service, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = settings.model_copy(update={"port": 0, "host": "0.0.0.0", "behind_proxy": True})
    with serving(outside) as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        with RemoteService(local) as client:
            assert client.studies().items == []
        with RemoteService(address) as client, pytest.raises(AccessDenied, match="token"):
            client.studies()
        token = (settings.data_home / "token").read_text().strip()
        monkeypatch.setenv("NAS_HOME", str(tmp_path / "elsewhere"))
        with RemoteService(local) as client, pytest.raises(AccessDenied):
            client.studies()
        with RemoteService(local, token) as client:
            assert client.studies().items == []
        monkeypatch.setenv("NAS_TOKEN", token)
        monkeypatch.setenv("NAS_SERVER", local)
        with RemoteService() as client:
            assert client.studies().items == []


def test_a_command_reads_the_same_over_http(
    address: str, finished_study: int, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for server in ([], ["--server", address]):
        assert run(["study", "show", str(finished_study), "--json", *server]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert run(["study", "pause", str(finished_study), "--server", address]) == 4


def test_a_stream_is_read_as_its_format_says() -> None:
    lines = [
        ": hello",
        "",
        "id: 7",
        "event: snapshot",
        'data: {"a": 1}',
        "",
        "retry: 5",
        "",
        'data:{"b":2}',
        "",
    ]
    assert list(parse(lines)) == [Frame("snapshot", 7, {"a": 1}), Frame("message", None, {"b": 2})]
