"""`nas search` from end to end: real data, real workers, real training."""

import json
from pathlib import Path

import pytest

from nas_service.cli.main import run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.delenv("NAS_SERVER", raising=False)


def test_a_search_trains_its_budget_exactly_and_prints_a_feasible_front(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["search", "--dataset", "digits", "--max-params", "20000", "--trials", "5", "--epochs", "2"]
    assert run([*arguments, "--workers", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    counts = result["trials"]
    assert result["state"] == "finished"
    assert counts["complete"] + counts["pruned"] + counts["failed"] == 5
    assert counts["running"] == counts["waiting"] == 0
    assert result["front"]
    for member in result["front"]:
        assert member["values"]["params"] <= 20_000
        assert {"accuracy", "latency_ms"} <= member["values"].keys()


def test_an_impossible_limit_is_refused_with_what_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", "--dataset", "digits", "--max-params", "10", "--trials", "5", "--workers", "1"]
    assert run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "params at most 10" in captured.err
    assert "the smallest found has" in captured.err
    assert captured.err.count("\n") == 1
