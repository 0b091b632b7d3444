"""What a worker's machine says of itself."""

import json
from pathlib import Path

import pytest

from nas_service.cli.main import run as nas
from nas_service.settings import Settings
from nas_service.trials import Lease, Outcome
from workers.doctor import check_spool, quiet_text, run
from workers.spool import Finished, Spool


def test_it_tells_torch_gpus_memory_and_noise(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--device-only", "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in found] == ["torch", "gpu", "memory", "noise"]


def test_results_that_wait_or_were_damaged_are_told(settings: Settings) -> None:
    assert check_spool(settings)[0].verdict == "ok"
    spool = Spool(settings.data_home / "spool" / "service")
    outcome = Outcome(report_id="0" * 32, state="failed", reason="x")
    spool.put(Finished(Lease(trial_id=1, attempt=1, worker_id=1), outcome, {}))
    (check,) = check_spool(settings)
    assert check.verdict == "warn"
    assert check.detail == "results that wait to be delivered: 1"
    (settings.data_home / "spool" / "service" / "trial-1-attempt-1.json").write_text("{")
    assert list(spool.waiting()) == []
    assert check_spool(settings)[0].verdict == "fail"


def test_a_server_that_is_away_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    assert run(["--server", "http://127.0.0.1:9", "--output", "csv"]) == 1


def test_nas_doctor_asks_the_workers_doctor_in_a_process_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(settings.data_home))
    monkeypatch.setenv("NAS_PORT", "9")
    assert nas(["doctor", "--json"]) == 0
    names = [check["name"] for check in json.loads(capsys.readouterr().out)]
    assert names[-4:] == ["torch", "gpu", "memory", "noise"]


def test_a_quiet_machine_is_told_with_its_load_and_never_without_any_difference() -> None:
    told = quiet_text(0.0004, 1.25)
    assert "differ by under 0.1 %" in told
    assert told.endswith("(load 1.25 a core)")
    assert "differ by 4.2 %" in quiet_text(0.0421, None)
