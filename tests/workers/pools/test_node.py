"""What a node tells Ray, and what it keeps from it."""

import json
import re
import stat
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import workers
from nas_service.cli.main import run
from nas_service.errors import ServiceError
from workers.cli import main
from workers.pools.joining import head_address
from workers.pools.node import (
    NODE_VARIABLE,
    Node,
    ensure_ray_token,
    node_environment,
    start_command,
)
from workers.pools.versions import Versions, own_versions, refuse_other

NODE = Node("alpha", slots=4, gpus=2, server="http://head:8000", token_file="/token", home="/data")
VERSIONS = Versions(python="3.11.7", ray="2.60.0", nas_service="0.1.0")


def test_a_database_password_never_reaches_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "NAS_DATABASE_URL": "postgresql://user:secret@host/db",
        "RAY_AUTH_TOKEN": "other",
        "PATH": "/bin",
    }
    environment = node_environment(NODE, Path("/ray-token"), given)
    assert "secret" not in str(environment)
    assert "RAY_AUTH_TOKEN" not in environment
    assert environment["PATH"] == "/bin"
    assert (environment["RAY_AUTH_MODE"], environment["RAY_AUTH_TOKEN_PATH"]) == ("token", "/ray-token")
    monkeypatch.setenv(NODE_VARIABLE, environment[NODE_VARIABLE])
    assert Node.from_environment() == NODE


def test_a_node_offers_slots_and_gpus_but_no_cores() -> None:
    command = start_command(NODE, "--address", "head:6379")
    options = dict(pairwise(command))
    assert (options["--num-cpus"], options["--num-gpus"]) == ("0", "2")
    assert json.loads(options["--resources"]) == {"nas_slot": 4}


@pytest.mark.parametrize(("slots", "gpus", "sharing"), [(4, 2, 2), (3, 2, 2), (4, 0, 4)])
def test_a_worker_knows_with_how_many_it_shares(slots: int, gpus: int, sharing: int) -> None:
    command = replace(NODE, slots=slots, gpus=gpus).worker_slot(1).command
    assert command[command.index("--workers-here") + 1] == str(sharing)
    assert command[command.index("--name") + 1] == "alpha/1"


def test_the_cluster_token_is_random_kept_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "ray-token", tmp_path / "two" / "ray-token"
    for path in (first, second):
        ensure_ray_token(path)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert first.read_text() != second.read_text()
    assert len(bytes.fromhex(first.read_text())) == 32
    before = first.read_text()
    ensure_ray_token(first)
    assert first.read_text() == before
    assert [path.name for path in first.parent.iterdir()] == ["ray-token"]


def test_nodes_of_equal_versions_may_join() -> None:
    refuse_other(VERSIONS, VERSIONS)
    refuse_other(own_versions(), own_versions())


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (replace(VERSIONS, python="3.11.8"), "python is 3.11.7 here and 3.11.8 there"),
        (replace(VERSIONS, ray="2.60.1"), "ray is 2.60.0 here and 2.60.1 there"),
        (replace(VERSIONS, nas_service="0.2.0"), "nas-service is 0.1.0 here and 0.2.0 there"),
    ],
)
def test_another_version_is_refused_with_both(head: Versions, told: str) -> None:
    with pytest.raises(ServiceError) as refused:
        refuse_other(head, VERSIONS)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).count(" here and ") == 1


def test_a_head_is_a_host_with_or_without_a_port() -> None:
    assert head_address("10.0.0.7") == ("10.0.0.7", 6379)
    assert head_address("gpu-head:7000") == ("gpu-head", 7000)


@pytest.mark.parametrize("text", ["", ":6379", "host:", "host:0", "host:65536", "host:http"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ServiceError, match="must be HOST or HOST:PORT"):
        head_address(text)


def test_without_ray_both_commands_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # So an import of it fails, and nobody finds it.
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    assert run(["up", "--engine", "ray"]) == 1
    with pytest.raises(SystemExit) as ended:
        main(["--join", "127.0.0.1", "--server", "http://127.0.0.1:1"])
    assert ended.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all('pip install "ray>=2.60,<3"' in line for line in told)


def test_only_one_file_imports_ray() -> None:
    folder = Path(workers.__file__).parent
    importing = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"^\s*(import ray\b|from ray\b)", path.read_text(), re.MULTILINE)
    }
    assert importing == {"pools/ray.py"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--join", "head"], "--join needs --server URL"),
        (["--slots", "2"], "go with --join alone"),
        (["--join", "head", "--server", "http://head", "--study", "1"], "do not go with --join"),
        (["--join", "head", "--server", "http://head", "--name", "../up"], "--name '../up' must be letters"),
        (
            ["--join", "head", "--server", "http://head", "--slots", "2", "--slots-per-gpu", "2"],
            "--slots and --slots-per-gpu do not go together",
        ),
    ],
)
def test_options_of_a_node_that_do_not_fit_are_refused(
    options: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NAS_SERVER", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
