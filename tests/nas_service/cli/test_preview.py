"""What a dry run tells people, and what it leaves as it was."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nas_service.cli.main import run

SEARCH = ["search", "--dataset", "digits", "--dry-run"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    for name in ("NAS_SERVER", "NAS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def basis_with(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*SEARCH, "--json", *arguments]) == 0
    basis: str = json.loads(capsys.readouterr().out)["estimate_basis"]
    return basis


def test_the_estimate_is_for_the_workers_that_the_search_would_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setattr("nas_service.cli.local_workers.visible_gpus", lambda: 0)
    assert basis_with(capsys=capsys).startswith("6 workers,")
    assert basis_with("--workers", "3", capsys=capsys).startswith("3 workers,")


def test_a_data_set_is_read_and_not_registered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=np.zeros((12, 8, 8), dtype=np.float32), y_train=np.arange(12) % 3)
    assert run(["search", "--dataset", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["feasible_share"] == 1.0
    assert run(["data", "list", "--json"]) == 0
    assert [dataset["name"] for dataset in json.loads(capsys.readouterr().out)] == ["digits"]


def test_a_table_is_sentences_and_yaml_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["--max-params", "5000", "--max-latency-ms", "4", "--workers", "2"]
    assert run([*SEARCH, *limits]) == 0
    told = capsys.readouterr().out
    assert "% of 400 networks drawn from" in told
    assert "params (at most 5,000) rejects" in told
    assert "(2 workers, " in told
    assert "latency_ms" in told
    assert "null" not in told
    assert "{" not in told
    assert run([*SEARCH, *limits, "-o", "yaml"]) == 0
    assert "refusal: null" in capsys.readouterr().out


def test_a_device_that_nobody_serves_is_told_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*SEARCH, "--device", "foo"]) == 0
    warning = capsys.readouterr().err
    assert warning.startswith("warning: no live worker has the device 'foo'")
    assert "known devices: cpu, cpu-torch, cuda\n" in warning
    assert run([*SEARCH, "--device", "cpu"]) == 0
    assert capsys.readouterr().err == ""
