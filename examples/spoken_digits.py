"""Arrays of the Free Spoken Digit Dataset, from its recordings `{digit}_{speaker}_{take}.wav`.

    python examples/spoken_digits.py free-spoken-digit-dataset/recordings

writes `fsdd-waveform.npz` (N, 1, 8192) and `fsdd-logmel.npz` (N, 1, 32, 63) into the present folder. The
test part is the set's own: takes 0 to 4 of each speaker and digit.
"""

import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE, SAMPLES = 8_000, 8_192
WINDOW, HOP, BANDS, LOWEST_HZ = 256, 128, 32, 60.0
# Decibels of a band's energy that become 0 and 255.
QUIET_DB, LOUD_DB = -60.0, 40.0


def recording(path: Path) -> NDArray[np.int16]:
    """Return 8,192 samples of a mono recording of 16 bits, padded with zeros or cut."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise SystemExit(f"{path} is no mono recording of 16 bits at {RATE} Hz")
        samples = np.frombuffer(file.readframes(SAMPLES), "<i2")
    return np.pad(samples, (0, SAMPLES - len(samples)))


def log_mel(signals: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return spectrograms (N, bands, times) of signals (N, samples), in decibels scaled to 0 ... 255."""
    frames = np.lib.stride_tricks.sliding_window_view(signals / 32_768.0, WINDOW, axis=1)[:, ::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], axis=2)) ** 2
    decibels = 10.0 * np.log10(power @ _bank().T + 1e-10).transpose(0, 2, 1)
    return (255.0 * (decibels.clip(QUIET_DB, LOUD_DB) - QUIET_DB) / (LOUD_DB - QUIET_DB)).astype(np.uint8)


def _bank() -> NDArray[np.float64]:
    """Return triangular filters (bands, frequencies), evenly apart in mel (O'Shaughnessy 1987)."""
    mels = np.linspace(*(2595.0 * np.log10(1.0 + hz / 700.0) for hz in (LOWEST_HZ, RATE / 2)), BANDS + 2)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    low, middle, high = (corners[place : place + BANDS, None] for place in range(3))
    frequencies = np.fft.rfftfreq(WINDOW, 1.0 / RATE)
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.minimum(rising, falling).clip(min=0.0)


def main(folder: Path) -> None:
    paths = sorted(folder.glob("*_*_*.wav"))
    if not paths:
        raise SystemExit(f"{folder} holds no recordings such as 7_jackson_12.wav")
    names = [path.stem.split("_") for path in paths]
    labels = np.array([int(digit) for digit, _, _ in names])
    is_test = np.array([int(take) < 5 for _, _, take in names])
    signals = np.stack([recording(path) for path in paths])
    for name, examples in (("waveform", signals), ("logmel", log_mel(signals))):
        parts = {"train": ~is_test, "test": is_test}
        arrays = {f"x_{part}": examples[chosen][:, None] for part, chosen in parts.items()}
        arrays |= {f"y_{part}": labels[chosen] for part, chosen in parts.items()}
        np.savez_compressed(f"fsdd-{name}.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
