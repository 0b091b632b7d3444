"""What is written is on the disk before it is named, and is checked when it is read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas_service.content import FolderStore, store_content
from nas_service.errors import DamagedFile, StorageFull
from nas_service.trials import Lease, Outcome
from workers.spool import Finished, Spool


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the calls that reach the operating system, in their order."""
    made: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            return call(*arguments, **options)

        return note

    for name in ("fsync", "replace", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    return made


def test_an_artifact_is_on_the_disk_before_it_has_its_name(tmp_path: Path, calls: list[str]) -> None:
    sha256 = store_content(tmp_path, b"weights")
    assert (tmp_path / sha256).read_bytes() == b"weights"
    assert calls[:2] == ["fsync", "replace"]


def test_a_result_is_on_the_disk_before_it_waits_in_the_spool(tmp_path: Path, calls: list[str]) -> None:
    spool = Spool(tmp_path)
    lease = Lease(trial_id=1, attempt=1, worker_id=1)
    spool.put(Finished(lease, Outcome(report_id="report-1", state="complete"), {}))
    assert [finished.lease for finished in spool.waiting()] == [lease]
    assert calls[:2] == ["fsync", "replace"]


def test_an_artifact_with_a_flipped_byte_is_not_handed_out(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    sha256 = store.put(b"weights")
    whole = store.path(sha256).read_bytes()
    for place in range(len(whole)):
        (tmp_path / sha256).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedFile):
            store.path(sha256)


def test_a_file_that_could_not_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        store_content(tmp_path, b"weights")
    assert list(tmp_path.iterdir()) == []
