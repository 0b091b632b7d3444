"""S2: what changes something, hands out a file or lets somebody in is written down, by the route's policy."""

import json
import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from access_routes import every_route
from fastapi import APIRouter

from nas_service import app as application
from nas_service.access import AuditEntry, Role, TokenCreate
from nas_service.api import policy
from nas_service.api.policy import CALCULATES
from nas_service.cli.main import run
from nas_service.client import RemoteService
from nas_service.errors import Forbidden
from nas_service.server import Server, serving
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import StudySpec

ARCHITECTURE = {"stages": [{"branches": [[{"op": "conv", "channels": 8, "kernel": 3}]], "channels": 8}]}
SPEC: dict[str, Any] = {"dataset": "digits", "budget": {"trials": 2}}


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as address:
        yield address


@pytest.fixture
def token(service: Service) -> str:
    return service.create_token(TokenCreate(name="ada", role=Role.admin)).token


@pytest.fixture
def http(address: str, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
        yield client


def written(service: Service) -> list[AuditEntry]:
    """Return the audit log, the oldest first."""
    return service.audit(page_size=500).items[::-1]


def test_no_route_that_changes_something_can_do_so_unseen() -> None:
    unseen = [
        str(route)
        for route in every_route()
        if route.method != "GET" and route.policy.action is None and route.policy.role is not Role.worker
    ]
    assert sorted(unseen) == sorted(CALCULATES)


def test_every_deed_is_written_down_with_who_did_it_to_what(
    http: httpx.Client, service: Service, finished_study: int
) -> None:
    study = http.post("/api/v1/studies", json=SPEC).json()["study"]
    deeds: list[tuple[str, str, dict[str, Any], str, str]] = [
        ("PATCH", f"/studies/{study}", {"space": "two_conv"}, "study.change", f"studies/{study}"),
        ("POST", f"/studies/{study}:pause", {}, "study.pause", f"studies/{study}:pause"),
        ("POST", f"/studies/{study}:resume", {}, "study.resume", f"studies/{study}:resume"),
        ("POST", f"/studies/{study}/trials", ARCHITECTURE, "trial.enqueue", f"studies/{study}/trials/0"),
        ("POST", f"/studies/{study}:drain", {}, "study.drain", f"studies/{study}:drain"),
        ("POST", f"/studies/{study}:cancel", {}, "study.cancel", f"studies/{study}:cancel"),
        ("DELETE", f"/studies/{study}", {}, "study.delete", f"studies/{study}"),
        ("DELETE", f"/studies/{study}", {}, "study.delete", f"studies/{study}"),
        ("GET", "/trials/1/files/weights", {}, "trial.download", "trials/1/files/weights"),
        ("GET", f"/artifacts/{'0' * 64}", {}, "artifact.download", f"artifacts/{'0' * 64}"),
    ]
    statuses = [
        http.request(method, f"/api/v1{path}", json=body or None).status_code
        for method, path, body, _, _ in deeds
    ]
    entries = written(service)
    assert (entries[0].action, entries[0].target, entries[0].status) == (
        "study.launch",
        f"studies/{study}",
        201,
    )
    assert [(entry.action, entry.target, entry.status) for entry in entries[1:]] == [
        (action, target, status) for (*_, action, target), status in zip(deeds, statuses, strict=True)
    ]
    # What failed stands there too: the second deletion, and files that there are none of.
    assert statuses[-3:] == [404, 404, 404]
    assert {(entry.actor, entry.role, entry.address) for entry in entries} == {("ada", "admin", "127.0.0.1")}
    assert {entry.token_id for entry in entries} == {
        next(one.id for one in service.tokens() if one.name == "ada")
    }
    assert len({entry.request_id for entry in entries}) == len(entries)


def test_reading_checking_and_calculating_are_not_written_down(http: httpx.Client, service: Service) -> None:
    assert http.get("/api/v1/studies").status_code == 200
    assert http.post("/api/v1/studies?validate_only=true", json=SPEC).status_code == 200
    described = {**ARCHITECTURE, "input_shape": [1, 8, 8], "classes": 10}
    assert http.post("/api/v1/architectures:describe", json=described).status_code == 200
    assert written(service) == []


def test_tokens_and_logins_are_written_down_but_never_a_token(
    http: httpx.Client, service: Service, token: str
) -> None:
    made = http.post("/api/v1/tokens", json={"name": "bob", "role": "viewer"}).json()
    with httpx.Client(base_url=http.base_url, trust_env=False) as browser:
        browser.post("/login", data={"token": "nw_guess"})
        browser.post("/login", data={"token": made["token"]})
        csrf = browser.get("/studies").text.partition('name="csrf_token" value="')[2][:64]
        browser.post("/logout", data={"csrf_token": csrf})
    http.post(f"/api/v1/tokens/{made['id']}:revoke")
    named = f"tokens/{made['id']} bob viewer"
    entries = written(service)
    assert [(entry.actor, entry.role, entry.action, entry.target, entry.status) for entry in entries] == [
        ("ada", "admin", "token.create", named, 201),
        ("", "", "login", "login", 401),
        ("bob", "viewer", "login", "login", 303),
        ("bob", "viewer", "logout", "logout", 303),
        ("ada", "admin", "token.revoke", named, 200),
    ]
    text = json.dumps([entry.model_dump(mode="json") for entry in entries])
    assert made["token"] not in text
    assert "nw_" not in text


def test_an_action_that_breaks_is_written_down_too(
    settings: Settings, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = APIRouter()

    @router.post("/breaking")
    def break_down() -> None:
        raise RuntimeError("halfway")

    monkeypatch.setattr(application, "API_ROUTERS", (*application.API_ROUTERS, router))
    # Found anew: this process may know them without it already.
    monkeypatch.setattr(application, "all_routes", application.all_routes.__wrapped__)
    own = policy.Policy(Role.operator, "thing.break")
    monkeypatch.setitem(policy.POLICIES, "POST /api/v1/breaking", own)
    with Server(settings.model_copy(update={"port": 0})).in_thread() as address:
        assert httpx.post(f"{address}/api/v1/breaking", trust_env=False).status_code == 500
    (entry,) = written(service)
    assert (entry.actor, entry.action, entry.status) == ("this machine", "thing.break", 500)


def test_an_upload_is_written_down_by_its_name(http: httpx.Client, service: Service) -> None:
    arrays, file = np.zeros((20, 8, 8), np.uint8), BytesIO()
    np.savez(file, x=arrays, y=np.arange(20) % 2)
    for content in (file.getvalue(), b"no arrays"):
        headers = {"Content-Type": "application/octet-stream"}
        http.post("/api/v1/datasets?name=mine", content=content, headers=headers)
    assert [(entry.action, entry.target, entry.status) for entry in written(service)] == [
        ("dataset.upload", "datasets/mine", 201),
        ("dataset.upload", "datasets", 422),
    ]


def test_the_log_is_listed_by_pages_to_admins_alone(
    http: httpx.Client, service: Service, address: str, token: str
) -> None:
    for number in range(5):
        http.post(f"/api/v1/studies/{900 + number}:pause")
    with RemoteService(address, token) as client:
        first = client.audit(page_size=3)
        second = client.audit(page_size=3, page_token=first.next_page_token)
    targets = [entry.target for entry in (*first.items, *second.items)]
    assert targets == [f"studies/{900 + number}:pause" for number in range(4, -1, -1)]
    assert second.next_page_token is None
    lesser = service.create_token(TokenCreate(name="bob", role=Role.operator)).token
    with RemoteService(address, lesser) as client, pytest.raises(Forbidden, match="role admin"):
        client.audit()


def test_what_is_done_on_the_data_folder_itself_is_the_system_s_user_s(
    service: Service,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    pets = tmp_path / "pets.npz"
    np.savez(pets, x=np.arange(192, dtype=np.uint8).reshape(12, 4, 4), y=np.arange(12) % 3)
    study = str(service.create_study(StudySpec.model_validate(SPEC)).study)
    assert run(["study", "pause", study]) == 0
    assert run(["study", "show", study]) == 0
    assert run(["token", "create", "--role", "viewer", "--name", "bob"]) == 0
    job = service.create_job("export", study_id=int(study)).id
    assert run(["job", "cancel", str(job)]) == 0
    assert run(["data", "add", str(pets)]) == 0
    assert run(["data", "delete", "pets"]) == 0
    capsys.readouterr()
    assert run(["audit", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["action"], entry["role"]) for entry in entries] == [
        ("dataset.delete", "admin"),
        ("dataset.upload", "admin"),
        ("job.cancel", "admin"),
        ("token.create", "admin"),
        ("study.pause", "admin"),
    ]
    assert all(entry["actor"].endswith(f"@{socket.gethostname()}") for entry in entries)
