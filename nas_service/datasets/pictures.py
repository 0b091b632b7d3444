"""Examples of a data set as small pictures: images as they are, spectrograms as heat maps, signals as lines.

Pictures are `data:` addresses, so that one reading of the file makes a whole page, and need no torch.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from nas_service.datasets.dataset import Array, Labels, refuse

Part = Literal["train", "test"]
Pixels = NDArray[np.uint8]

# However long or large an example is, its picture has at most so many points on a side.
MAX_SIDE = 128
MAX_PICTURES = 200
# A signal's picture in units of its own drawing; the page scales it.
SIGNAL_WIDTH, SIGNAL_HEIGHT = 160, 64
MAX_LINES = 6
# Dark to light in equal steps of lightness (Nunez et al. 2018, "cividis"), interpolated between these.
_CIVIDIS = (
    "00224e",
    "123570",
    "3b496c",
    "575d6d",
    "707173",
    "8a8678",
    "a59c74",
    "c3b369",
    "e1cc55",
    "fee838",
)
# Okabe and Ito's colours that are legible on light and on dark ground.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True, slots=True)
class Picture:
    """One example as a picture."""

    # Its position in its part of the data set.
    index: int
    label: int
    # A `data:` address for an `<img>`.
    address: str
    width: int
    height: int


def read_pictures(path: Path, part: Part, indices: Sequence[int]) -> list[Picture]:
    """Return the pictures of some examples of a canonical data set file, in the order of `indices`.

    Only these examples are read. Indices that the part lacks are left out, and at most `MAX_PICTURES` drawn.

    Raises:
        InvalidInput: The file is damaged or has no such part.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            labels = file.get_tensor(f"y_{part}")
            examples = file.get_slice(f"x_{part}")
            known = [index for index in indices if 0 <= index < len(labels)][:MAX_PICTURES]
            return [_picture(examples[index : index + 1][0], index, int(labels[index])) for index in known]
    except (SafetensorError, OSError) as error:
        raise refuse(f"{path.name} has no {part} part that can be read: {error}") from error


def read_labels(path: Path, part: Part) -> Labels:
    """Return the labels of a part; none where the data set has no such part."""
    try:
        with safe_open(path, framework="numpy") as file:
            name = f"y_{part}"
            labels: Labels = file.get_tensor(name) if name in file.keys() else np.empty(0, np.int64)  # noqa: SIM118
            return labels
    except (SafetensorError, OSError) as error:
        raise refuse(f"{path.name} is no canonical data set file: {error}") from error


def spread_by_class(labels: Labels, classes: Sequence[int], count: int) -> list[int]:
    """Return the positions of up to `count` examples of each class, spread evenly over the part."""
    chosen: list[int] = []
    for number in classes:
        places = np.flatnonzero(labels == number)
        steps = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
        chosen += places[steps].tolist()
    return chosen


def _picture(example: Array, index: int, label: int) -> Picture:
    """Draw one example (C, *S)."""
    if example.ndim == 2:
        content = _signal_svg(example).encode()
        return Picture(index, label, _address("svg+xml", content), SIGNAL_WIDTH, SIGNAL_HEIGHT)
    pixels = _pixels(example)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Picture(index, label, _address("png", stream.getvalue()), pixels.shape[1], pixels.shape[0])


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _pixels(example: Array) -> Pixels:
    """Return (H, W) of grey or (H, W, 3) of colour; of a volume the slice in its middle."""
    if example.ndim == 4:
        example = example[:, example.shape[1] // 2]
    example = example[:, *(slice(None, None, _stride(size)) for size in example.shape[1:])]
    if example.shape[0] in (3, 4):
        return np.ascontiguousarray(np.moveaxis(_as_bytes(example[:3]), 0, -1))
    plane = example.mean(axis=0) if example.shape[0] > 1 else example[0]
    # What is grey and square is a photograph more often than not; anything else is a map of values.
    if example.dtype == np.uint8 and example.shape[0] == 1 and plane.shape[0] == plane.shape[1]:
        return np.ascontiguousarray(plane)
    return _cividis()[_as_bytes(plane)]


def _stride(size: int) -> int:
    return -(-size // MAX_SIDE)


def _as_bytes(values: Array) -> Pixels:
    """Return values as they are where they are bytes, else stretched over their own range."""
    if values.dtype == np.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    scaled: Pixels = ((values - low) * (255 / ((high - low) or 1.0))).round().astype(np.uint8)
    return scaled


@lru_cache
def _cividis() -> Pixels:
    stops = np.array([list(bytes.fromhex(colour)) for colour in _CIVIDIS], np.float64)
    places = np.linspace(0, 255, len(stops))
    columns = [np.interp(np.arange(256), places, stops[:, channel]) for channel in range(3)]
    table: Pixels = np.stack(columns, axis=1).round().astype(np.uint8)
    return table


def _signal_svg(signal: Array) -> str:
    """Draw a signal (C, length), one line a channel, all on one scale."""
    channels = signal[:MAX_LINES].astype(np.float64)
    low, high = channels.min(), channels.max()
    scaled = 2 + (SIGNAL_HEIGHT - 4) * (high - channels) / ((high - low) or 1.0)
    lines = "".join(
        f'<polyline points="{_points(channel)}" stroke="{colour}"/>'
        for channel, colour in zip(scaled, _LINES, strict=False)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIGNAL_WIDTH} {SIGNAL_HEIGHT}">'
        f'<g fill="none" stroke-width="1" stroke-linejoin="round">{lines}</g></svg>'
    )


def _points(channel: Array) -> str:
    """Return a polyline: every sample of a short signal, lowest and highest of each stretch of a long one."""
    if len(channel) > 2 * MAX_SIDE:
        bounds = np.linspace(0, len(channel), MAX_SIDE + 1).astype(int)
        pairs = [(channel[begin:end].min(), channel[begin:end].max()) for begin, end in pairwise(bounds)]
        channel = np.array(pairs).ravel()
    across = np.linspace(0, SIGNAL_WIDTH, len(channel))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, channel, strict=True))
