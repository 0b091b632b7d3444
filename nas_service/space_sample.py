"""Networks drawn at random from a space, and what they cost: what can be said of it before any training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from search_spaces import RandomTrial, SearchSpace, analyse

# While a person types, only limits change; drawing anew costs a second.
KEPT = 32


@dataclass(frozen=True, slots=True)
class SpaceSample:
    """The same draws for everybody who asks for the same space."""

    # The figures of each draw by metric name.
    costs: tuple[Mapping[str, int], ...]
    # The rule of the space that forbids it; None for what is allowed.
    rules: tuple[str | None, ...]
    # How many of the drawn networks differ.
    distinct: int


def space_sample(space: SearchSpace, input_shape: tuple[int, ...], classes: int, draws: int) -> SpaceSample:
    """Return `draws` random networks of a space for some data; what was drawn before comes from memory.

    Raises:
        SpaceError: The space cannot be fitted to the data.
    """
    return _drawn(json.dumps(space.to_dict()), tuple(input_shape), classes, draws)


@lru_cache(maxsize=KEPT)
def _drawn(space: str, input_shape: tuple[int, ...], classes: int, draws: int) -> SpaceSample:
    resolved = SearchSpace.from_dict(json.loads(space))
    networks = [resolved.sample(RandomTrial(seed), input_shape, classes) for seed in range(draws)]
    return SpaceSample(
        costs=tuple(analyse(network).metrics() for network in networks),
        rules=tuple(resolved.forbidden(network) for network in networks),
        distinct=len({network.hash for network in networks}),
    )
