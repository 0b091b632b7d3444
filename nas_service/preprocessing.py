"""How an example of the data set becomes a network's input."""

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An example of one value only becomes all zeros.
LEAST_DEVIATION = 1e-6
NORMALISATIONS = ("dataset", "example")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Input of the network: (x - mean) / deviation, by channel of the data set or over each example."""

    # (channels, *spatial) of one example, as numbers of this type.
    input_shape: tuple[int, ...]
    input_type: str
    normalisation: str
    # One number a channel; of the training part.
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    classes: tuple[str, ...]
    # Of all numbers of the training part; exports of earlier versions do not know them.
    minimum: float | None = None
    maximum: float | None = None
    # All but a hundredth of the training part's examples vary by more within themselves.
    quiet_deviation: float | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Preprocessing":
        """Return what `to_dict` wrote; raises `ValueError` naming what is missing or wrong."""
        try:
            values: dict[str, Any] = {
                field.name: data[field.name] if field.default is MISSING else data.get(field.name)
                for field in fields(cls)
            }
        except (KeyError, TypeError) as error:
            raise ValueError(f"preprocessing lacks {error}") from error
        if values["normalisation"] not in NORMALISATIONS:
            allowed = ", ".join(NORMALISATIONS)
            raise ValueError(f"normalisation is {values['normalisation']!r}; allowed: {allowed}")
        lists = ("input_shape", "mean", "deviation", "classes")
        made: dict[str, Any] = {
            name: tuple(value) if name in lists else value for name, value in values.items()
        }
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-compatible data."""
        return asdict(self)

    def apply(self, examples: NDArray[Any]) -> NDArray[np.float32]:
        """Return examples (B, C, *S) as the network takes them."""
        floats = examples.astype(np.float32)
        if self.normalisation == "example":
            axes = tuple(range(1, floats.ndim))
            mean, deviation = floats.mean(axes, keepdims=True), floats.std(axes, keepdims=True)
            return np.asarray((floats - mean) / np.maximum(deviation, np.float32(LEAST_DEVIATION)))
        return np.asarray((floats - self.column(self.mean)) / self.column(self.deviation))

    def column(self, figures: tuple[float, ...]) -> NDArray[np.float32]:
        """Return a number a channel, shaped (C, 1, ...) to stand beside a batch."""
        shape = (-1, *[1] * (len(self.input_shape) - 1))
        return np.array(figures, dtype=np.float32).reshape(shape)
