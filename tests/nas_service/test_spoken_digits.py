"""The script that makes the examples' data sets."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "spoken_digits.py"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Write one second of a tone for each of two takes of three digits, one in the test part."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    times = np.arange(8_000) / 8_000
    for digit in range(3):
        tone = (10_000 * np.sin(2 * np.pi * 500 * (digit + 1) * times)).astype("<i2")
        for take in (4, 5):
            with wave.open(str(folder / f"{digit}_ada_{take}.wav"), "wb") as file:
                file.setparams((1, 2, 8_000, 0, "NONE", ""))
                file.writeframes(tone.tobytes())
    return folder


def test_recordings_become_signals_and_spectrograms(recordings: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(recordings)], cwd=tmp_path, check=True)
    signals, spectrograms = (np.load(tmp_path / f"fsdd-{name}.npz") for name in ("waveform", "logmel"))
    assert signals["x_train"].shape == signals["x_test"].shape == (3, 1, 8192)
    assert spectrograms["x_test"].shape == (3, 1, 32, 63)
    assert signals["y_train"].tolist() == spectrograms["y_test"].tolist() == [0, 1, 2]
    # Past the end there is silence, and a higher tone lies in a higher band.
    assert not signals["x_train"][:, :, 8_000:].any()
    loudest = spectrograms["x_train"][:, 0, :, 30].argmax(axis=1)
    assert loudest[0] < loudest[1] < loudest[2]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "holds no recordings" in done.stderr
