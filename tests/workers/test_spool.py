"""Undelivered results survive, and damaged ones are put aside."""

from pathlib import Path

from nas_service.trials import Lease, Outcome
from workers.spool import Spool

LEASE = Lease(trial_id=3, attempt=2, worker_id=1)
OUTCOME = Outcome(report_id="report-000003", state="complete", metrics={"accuracy": 0.9})


def test_what_was_put_is_waiting_until_removed(tmp_path: Path) -> None:
    Spool(tmp_path).put(LEASE, OUTCOME)
    assert list(Spool(tmp_path).waiting()) == [(LEASE, OUTCOME)]
    Spool(tmp_path).remove(LEASE)
    assert list(Spool(tmp_path).waiting()) == []


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    Spool(tmp_path).put(LEASE, OUTCOME)
    (tmp_path / "trial-9-attempt-1.json").write_text('{"lease": {"trial_id"')
    assert list(Spool(tmp_path).waiting()) == [(LEASE, OUTCOME)]
    assert [path.name for path in tmp_path.glob("*.damaged")] == ["trial-9-attempt-1.damaged"]
