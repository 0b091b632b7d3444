"""An architecture as what stands at each place of its description, without any knowledge of networks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import Architecture

# Stands for a place that a description lacks.
ABSENT = -1.0


class DescriptionMap:
    """Turns architectures into rows: a number is a column by its path, a word one for each path and word.

    Args:
        samples: Decide which columns there are.
    """

    def __init__(self, samples: Sequence[Architecture]) -> None:
        self.names = sorted({name for sample in samples for name, _ in _places(sample.to_dict(), "")})

    def __call__(self, architecture: Architecture) -> NDArray[np.float64]:
        """Return the row (columns,) of an architecture."""
        found = dict(_places(architecture.to_dict(), ""))
        return np.array([found.get(name, ABSENT) for name in self.names])


def _places(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, f"{path}/{name}")
    elif isinstance(value, list):
        yield f"{path}/length", float(len(value))
        for place, inner in enumerate(value):
            yield from _places(inner, f"{path}/{place}")
    elif isinstance(value, int | float):
        yield path, float(value)
    else:
        yield f"{path}={value}", 1.0
