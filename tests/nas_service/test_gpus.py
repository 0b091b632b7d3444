"""GPUs of this machine, counted without torch."""

from pathlib import Path

import pytest

from nas_service import gpus


@pytest.mark.parametrize(("named", "count"), [("0", 1), ("2,3", 2), ("", 0), ("-1", 0), ("GPU-8f, 1", 2)])
def test_cuda_visible_devices_is_believed(named: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus.visible_gpus() == count


def test_otherwise_the_driver_s_folders_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DRIVER_FOLDER", tmp_path / "gpus")
    assert gpus.visible_gpus() == 0
    for name in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert gpus.visible_gpus() == 2


def test_workers_of_a_machine_know_their_number_and_how_many_they_are() -> None:
    assert gpus.worker_options(1, 3) == ("--accelerator", "auto:1", "--workers-here", "3")
