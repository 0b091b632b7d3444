"""Undelivered results survive with their files, and damaged ones are put aside."""

import os
from pathlib import Path

import pytest

from nas_service.trials import Lease, Outcome
from workers.delivery import hashes
from workers.spool import ABANDONED_S, Finished, Spool

FILES = {"weights": b"\x00\x01 weights", "architecture": b"{}"}
LEASE = Lease(trial_id=3, attempt=2, worker_id=1)
OUTCOME = Outcome(
    report_id="report-000003", state="complete", metrics={"accuracy": 0.9}, artifacts=hashes(FILES)
)
FINISHED = Finished(LEASE, OUTCOME, FILES)


def test_what_was_put_is_waiting_until_removed(tmp_path: Path) -> None:
    Spool(tmp_path).put(FINISHED)
    other = Finished(LEASE.model_copy(update={"attempt": 21}), OUTCOME, FILES)
    Spool(tmp_path).put(other)
    assert list(Spool(tmp_path).waiting()) == [FINISHED, other]
    Spool(tmp_path).remove(LEASE)
    assert list(Spool(tmp_path).waiting()) == [other]
    Spool(tmp_path).remove(other.lease)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_result_is_put_aside(tmp_path: Path) -> None:
    Spool(tmp_path).put(FINISHED)
    (tmp_path / "trial-9-attempt-1.json").write_text('{"lease": {"trial_id"')
    assert list(Spool(tmp_path).waiting()) == [FINISHED]
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["trial-9-attempt-1.damaged"]


@pytest.mark.parametrize("content", [b"other weights", None])
def test_a_result_whose_file_is_damaged_or_gone_is_put_aside(content: bytes | None, tmp_path: Path) -> None:
    Spool(tmp_path).put(FINISHED)
    weights = tmp_path / "trial-3-attempt-2.weights"
    weights.unlink()
    if content is not None:
        weights.write_bytes(content)
    assert list(Spool(tmp_path).waiting()) == []
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["trial-3-attempt-2.damaged"]


def test_a_result_that_was_not_written_whole_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(descriptor: int) -> None:
        raise SystemExit(143)

    monkeypatch.setattr("os.fsync", ends)
    with pytest.raises(SystemExit):
        Spool(tmp_path).put(FINISHED)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_swept_up_after_a_while(tmp_path: Path) -> None:
    Spool(tmp_path).put(FINISHED)
    fresh, old = tmp_path / "trial-4-attempt-1.weights", tmp_path / "trial-5-attempt-1.weights-part"
    for path in (fresh, old):
        path.write_bytes(b"half")
    long_ago = fresh.stat().st_mtime - ABANDONED_S - 60
    for path in (old, tmp_path / "trial-3-attempt-2.weights"):
        os.utime(path, (long_ago, long_ago))
    Spool(tmp_path).sweep()
    assert fresh.exists()
    assert not old.exists()
    assert list(Spool(tmp_path).waiting()) == [FINISHED]
