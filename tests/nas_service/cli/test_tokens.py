"""`nas token` on the data folder and on a server, and what is said to whoever may not."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_service.cli.main import run
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    monkeypatch.setenv("NAS_TOKEN", "")


@pytest.fixture
def address(service: Service, settings: Settings) -> Iterator[str]:
    with serving(settings.model_copy(update={"port": 0, "behind_proxy": True})) as address:
        yield address


@pytest.fixture(params=["the folder", "a server"])
def place(request: pytest.FixtureRequest, service: Service) -> list[str]:
    """Where the command acts; the token of the data folder serves on this machine."""
    return [] if request.param == "the folder" else ["--server", request.getfixturevalue("address")]


def made(capsys: Output, place: list[str], name: str, role: str, *more: str) -> str:
    capsys.readouterr()
    assert run(["token", "create", "--role", role, "--name", name, *more, *place]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_is_printed_alone_and_once(place: list[str], capsys: Output) -> None:
    token = made(capsys, place, "pi4", "worker", "--expires-days", "30")
    assert token.startswith("nw_")
    assert " " not in token
    assert run(["token", "list", "-o", "json", *place]) == 0
    listed = capsys.readouterr().out
    assert token not in listed
    entry = next(one for one in json.loads(listed) if one["name"] == "pi4")
    assert (entry["role"], entry["state"]) == ("worker", "active")
    assert entry["expires_at"] > entry["created_at"]


def test_a_token_is_revoked_by_name_and_by_number(place: list[str], capsys: Output) -> None:
    for name in ("first", "second"):
        made(capsys, place, name, "viewer")
    assert run(["token", "list", "--json", *place]) == 0
    number = next(one["id"] for one in json.loads(capsys.readouterr().out) if one["name"] == "second")
    assert run(["token", "revoke", "first", *place]) == 0
    assert run(["token", "revoke", str(number), *place]) == 0
    assert run(["token", "revoke", "third", *place]) == 3
    assert "nas token list" in capsys.readouterr().err
    assert run(["token", "list", "--json", *place]) == 0
    states = {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert (states["first"], states["second"]) == ("revoked", "revoked")


def test_wrong_input_is_one_line_that_names_the_field(place: list[str], capsys: Output) -> None:
    made(capsys, place, "taken", "viewer")
    for arguments, code, said in (
        (["--role", "boss", "--name", "a"], 2, "'viewer', 'operator', 'worker', 'admin'"),
        (["--role", "viewer", "--name", "12"], 2, "name: must begin with a letter"),
        (["--role", "viewer", "--name", "a", "--expires-days", "0"], 2, "--expires-days"),
        (["--role", "viewer"], 2, "--name"),
        (["--role", "viewer", "--name", "taken"], 4, "nas token revoke taken"),
    ):
        assert run(["token", "create", *arguments, *place]) == code
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_command_takes_its_token_from_a_file_and_is_told_what_is_missing(
    address: str, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = made(capsys, [], "viewer", "viewer")
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "elsewhere"))
    assert run(["study", "list", "--server", address]) == 1
    assert "NAS_TOKEN or --token-file" in capsys.readouterr().err
    file = tmp_path / "viewer"
    file.write_text(viewer + "\n")
    assert run(["--token-file", str(file), "study", "list", "--server", address]) == 0
    capsys.readouterr()
    assert run(["--token-file", str(file), "search", "--dataset", "digits", "--server", address]) == 1
    error = capsys.readouterr().err
    assert "needs the role operator" in error
    assert "nas token create --role operator" in error
    assert run(["--token-file", str(tmp_path / "none"), "study", "list"]) == 2
    assert "token-file" in capsys.readouterr().err
