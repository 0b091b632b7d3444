"""A full disk: what does not fit is refused as 507, and nothing that was acknowledged is lost."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from nas_service.content import PART
from nas_service.errors import StorageFull, Unavailable
from nas_service.file_stores import open_stores
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LedgerFull, LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.service import Service
from nas_service.settings import Settings


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of two megabytes, or skip where that is not allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or mount("size=2m", folder).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(options: str, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    command = ["mount", "-t", "tmpfs", "-o", options, "nas-test", str(folder)]
    return subprocess.run(command, capture_output=True, check=False)


def test_a_full_artifact_store_loses_nothing(small_disk: Path, service: Service, settings: Settings) -> None:
    full = settings.model_copy(update={"artifacts_url": str(small_disk)})
    ledger = SqlLedger(service.engine, settings=full)
    kept = [ledger.put_artifact(bytes([number]) * 300_000) for number in range(3)]
    with pytest.raises(LedgerFull, match="no space is left"):
        ledger.put_artifact(b"x" * 3_000_000)
    store = open_stores(full).artifacts
    with pytest.raises(StorageFull):
        store.put(b"y" * 3_000_000)
    assert sorted(store.names()) == sorted(kept)
    assert all(store.digest(sha256) == sha256 for sha256 in kept)
    assert list((small_disk / "artifacts").glob(f"{PART}*")) == []
    # What fits is taken again.
    assert store.path(ledger.put_artifact(b"weights")).read_bytes() == b"weights"


def test_over_http_a_full_store_is_507_and_a_worker_tries_again(
    small_disk: Path, service: Service, settings: Settings, tmp_path: Path
) -> None:
    full = settings.model_copy(update={"artifacts_url": str(small_disk), "port": 0})
    data = {"x": np.arange(40 * 300 * 300).reshape(40, 300, 300) % 251, "y": np.arange(40) % 4}
    np.savez(tmp_path / "large.npz", x=data["x"].astype(np.uint8), y=data["y"])
    with serving(full) as address, httpx.Client(base_url=address, trust_env=False, timeout=120) as http:
        with (tmp_path / "large.npz").open("rb") as stream:
            answer = http.post("/api/v1/datasets", files={"file": ("large.npz", stream)})
        assert answer.status_code == 507
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
        assert answer.json()["type"] == "urn:nas:storage-full"
        assert [item["name"] for item in http.get("/api/v1/datasets").json()["items"]] == ["digits"]
        token = (settings.data_home / "token").read_text().strip()
        ledger = HttpLedger(address, token, tmp_path / "cache")
        with pytest.raises(LedgerUnavailable, match="no space is left"):
            ledger.put_artifact(b"x" * 3_000_000)
        assert ledger.put_artifact(b"weights")
        ledger.close()


def test_a_full_database_loses_nothing_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, spec_of: Callable[[int], dict[str, Any]]
) -> None:
    settings = Settings(
        home=small_disk,
        port=0,
        database_url=f"sqlite:///{small_disk}/nas.db",
        artifacts_url=str(tmp_path / "files"),
    )
    with serving(settings) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as http:
        acknowledged: list[int] = []
        for number in range(2000):
            answer = http.post("/api/v1/studies", json=spec_of(number))
            if answer.status_code != 201:
                break
            acknowledged.append(answer.json()["study"])
        assert answer.status_code == 507
        assert answer.json()["type"] == "urn:nas:storage-full"
        assert answer.headers["retry-after"]
        assert acknowledged
        for study in acknowledged:
            assert http.get(f"/api/v1/studies/{study}").status_code == 200
        assert mount("remount,size=64m", small_disk).returncode == 0
        answer = http.post("/api/v1/studies", json=spec_of(2000))
        assert answer.status_code == 201
    service = Service.open(settings)
    with service.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert service.studies(page_size=1).items[0].study == answer.json()["study"]
    service.close()


@pytest.fixture
def spec_of() -> Callable[[int], dict[str, Any]]:
    """Return a factory of specs that take much room."""
    fields = {"depth": [2], "stage": {"width": list(range(4, 68)), "branch": {"kernel": [3]}}}
    return lambda number: {"dataset": "digits", "name": f"study-{number}", "space": fields}


def test_a_read_only_data_folder_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    if os.geteuid() or mount("ro,size=1m", folder).returncode:
        pytest.skip("mounting a read-only file system needs root")
    try:
        with pytest.raises(Unavailable, match=r"cannot write to the data folder .*NAS_HOME"):
            Service.open(Settings(home=folder, database_url=None))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
