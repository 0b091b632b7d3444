"""What every runtime offers to the measurement."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.deployment import DeployedNetwork

# One inference, awaited.
Run = Callable[[], object]
Example = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run a folded network."""

    name: str
    version: str
    # The hardware that it runs on, in words.
    machine: str
    # Makes a network ready for one example (1, C, *S) that is fed again and again.
    prepare: Callable[[DeployedNetwork, Example], Run]
    # What the process must hold to while it is timed, for instance one thread.
    alone: Callable[[], AbstractContextManager[Any]] = nullcontext


def example_of(network: DeployedNetwork, seed: int = 0) -> Example:
    """Return a random example (1, C, *S) that the network takes."""
    shape = (1, *network.graph.input_shape)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
