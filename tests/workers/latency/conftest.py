"""Factories of rounds whose truth is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workers.latency.estimate import Round


@pytest.fixture
def calibrations(data_home: Path) -> Path:
    """The folder that calibrations are kept in."""
    return data_home / "latency"


@pytest.fixture
def make_rounds() -> Callable[..., list[Round]]:
    """Return a factory: equal numbers of rounds at each slowdown of (network, reference)."""

    def make(
        slowdowns: list[tuple[float, float]],
        each: int = 20,
        *,
        network_s: float = 2e-4,
        reference_s: float = 1e-4,
    ) -> list[Round]:
        return [
            Round(np.array([1.3, 1.0, 1.1]) * network_s * own, reference_s * other, reference_s * other)
            for own, other in slowdowns
            for _ in range(each)
        ]

    return make
