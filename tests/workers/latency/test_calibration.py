"""The reference's undisturbed time: found under load too, kept for the machine, corrected when beaten."""

from pathlib import Path

import numpy as np
import pytest

from workers.latency.calibration import CalibrationFile, corrected, undisturbed_level
from workers.latency.reference import Reference

KEY = ("a machine", "onnxruntime", "1.0")


def test_a_machine_that_is_busy_nine_tenths_of_the_time_is_calibrated_undisturbed() -> None:
    generator = np.random.default_rng(0)
    busy = generator.random(1000) < 0.9
    probes = np.where(busy, 1.4, 1.0) * (1 + generator.exponential(0.005, 1000))
    assert undisturbed_level(probes.tolist()) == pytest.approx(1.0, rel=0.01)


def test_a_few_lucky_probes_change_nothing() -> None:
    assert corrected(1.0, [1.0] * 100 + [0.9] * 5) == 1.0


def test_small_gains_change_nothing() -> None:
    assert corrected(1.0, [0.98] * 500) == 1.0


def test_a_time_found_under_load_is_corrected() -> None:
    assert corrected(1.4, [1.4] * 80 + [1.0] * 20) == 1.0


def test_a_slower_hour_does_not_raise_the_time() -> None:
    assert corrected(1.0, [1.4] * 500) == 1.0


def test_another_process_reads_what_one_wrote(tmp_path: Path) -> None:
    CalibrationFile(tmp_path / "new", KEY).write(1.25e-4)
    assert CalibrationFile(tmp_path / "new", KEY).read() == 1.25e-4
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".json"]


def test_another_version_of_the_runtime_is_calibrated_anew(tmp_path: Path) -> None:
    CalibrationFile(tmp_path, KEY).write(1.25e-4)
    assert CalibrationFile(tmp_path, (*KEY[:2], "2.0")).read() is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"undisturbed_s": null}', '{"undisturbed_s": -1}', '{"undisturbed_s": NaN}'],
)
def test_a_broken_file_means_a_new_calibration(content: str, tmp_path: Path) -> None:
    file = CalibrationFile(tmp_path, KEY)
    file.write(1.0)
    next(tmp_path.iterdir()).write_text(content)
    assert file.read() is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file stands where the folder should")
    file = CalibrationFile(tmp_path / "taken", KEY)
    file.write(1.0)
    assert file.read() is None


def test_a_reference_corrects_its_calibration_for_everyone(tmp_path: Path) -> None:
    CalibrationFile(tmp_path, KEY).write(60.0)
    reference = Reference(lambda: sum(range(100)), CalibrationFile(tmp_path, KEY))
    assert reference.undisturbed_s == 60.0
    probes = [reference.probe() for _ in range(50)]
    assert reference.learn() == np.median(probes)
    assert CalibrationFile(tmp_path, KEY).read() == reference.undisturbed_s < 1.0
