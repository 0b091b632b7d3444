"""What is left of what was killed, and where a database must not lie."""

import os
import socket
from pathlib import Path

import pytest

from nas_service import containers
from nas_service.cli.up import _address, _refuse_taken_port
from nas_service.leftovers import sweep_uploads
from nas_service.processes import server_slot
from nas_service.settings import Settings
from nas_service.store.engine import _type_of


def test_abandoned_uploads_are_deleted_and_those_under_way_stay(tmp_path: Path) -> None:
    assert sweep_uploads(tmp_path / "none yet") == 0
    for name in ("upload-old", "read-old", "upload-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.npz").write_bytes(b"x")
        if name.endswith("old"):
            os.utime(tmp_path / name, (1.0, 1.0))
    assert sweep_uploads(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["upload-new"]


def test_of_several_mounts_at_one_place_the_last_counts() -> None:
    mounts = [
        "/dev/root / ext4 rw 0 0",
        "systemd-1 /mnt/nfs autofs rw 0 0",
        "server:/home /mnt/nfs nfs4 rw 0 0",
        "tmpfs /mnt/nfs-not tmpfs rw 0 0",
    ]
    assert _type_of(Path("/mnt/nfs/me/nas"), mounts) == "nfs4"
    assert _type_of(Path("/mnt/nfs-not"), mounts) == "tmpfs"
    assert _type_of(Path("/home/me"), mounts) == "ext4"


def test_reading_may_take_a_third_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Settings(home=tmp_path).reader_memory
    monkeypatch.setattr(containers, "ROOT", tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("3000000000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("1000000000\n")
    assert containers.memory_left() == 2_000_000_000
    assert Settings(home=tmp_path).reader_memory == min(whole, 1_000_000_000)
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("max\n")
    assert containers.memory_limit() is None


def _has_version_6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8123"),
        ("0.0.0.0", "http://127.0.0.1:8123"),
        ("::1", "http://[::1]:8123"),
        ("::", "http://[::1]:8123"),
    ],
)
def test_addresses_of_either_version_are_listened_on(host: str, address: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, host=host, port=8123, behind_proxy=True)
    assert _address(settings) == address
    if ":" in host and not _has_version_6():
        pytest.skip("this machine has no addresses of version 6")
    _refuse_taken_port(settings.model_copy(update={"port": 0}), server_slot(settings))
