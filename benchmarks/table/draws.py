"""Which architecture a row of the table holds: a function of the rows before it and nothing else.

Half of the rows are drawn at random. A quarter are the smallest of eight random ones, for the space's own
draws seldom reach the cheap end of a front. A quarter are a member of the front so far with one to
three parameters drawn anew: there searches spend most of their time, and a surrogate must be good there.
What needs more multiply-accumulates than a small device would do is drawn again: it costs the most to train
and teaches the least, for a front of size hardly ever holds it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.table.records import Training
from nas_service.front import non_dominated
from search_spaces import Architecture, RandomTrial, SearchSpace, analyse
from search_spaces.random_trial import Scalar

CLASSES = 10
ORIGINS = ("random", "small", "random", "near_front")
SMALLEST_OF = 8
MOST_REDRAWN = 3
LARGEST_MACS = 5_000_000
# Before so many rows there is no front worth the name.
FIRST_FRONT = 40


@dataclass(frozen=True, slots=True)
class Draw:
    """An architecture with the parameters that describe it."""

    origin: str
    params: dict[str, Scalar]
    architecture: Architecture


def draw(
    row: int, space: SearchSpace, shape: Sequence[int], earlier: Mapping[tuple[int, int], Training]
) -> Draw:
    """Return the architecture of a row; none of the rows before it has the same."""
    origin = ORIGINS[row % len(ORIGINS)]
    if origin == "near_front" and row < FIRST_FRONT:
        origin = "random"
    known = {training.hash for training in earlier.values()}
    generator = random.Random(f"table:{row}")
    while True:
        trials = [_trial(origin, generator, space, shape, earlier)]
        if origin == "small":
            trials += [RandomTrial(generator.getrandbits(32)) for _ in range(SMALLEST_OF - 1)]
        drawn = [(space.sample(trial, shape, CLASSES), trial) for trial in trials]
        architecture, trial = min(drawn, key=lambda pair: analyse(pair[0]).params)
        if architecture.hash not in known and analyse(architecture).macs <= LARGEST_MACS:
            return Draw(origin, dict(trial.params), architecture)


def _trial(
    origin: str,
    generator: random.Random,
    space: SearchSpace,
    shape: Sequence[int],
    earlier: Mapping[tuple[int, int], Training],
) -> RandomTrial:
    if origin != "near_front":
        return RandomTrial(generator.getrandbits(32))
    # In the order of the rows, in whichever they were trained.
    rows = [earlier[key] for key in sorted(earlier) if key[1] == 0]
    parent = generator.choice(_front(rows))
    names = generator.sample(sorted(parent), min(len(parent), generator.randint(1, MOST_REDRAWN)))
    kept = {name: value for name, value in parent.items() if name not in names}
    return RandomTrial(generator.getrandbits(32), fixed=kept)


def _front(trainings: Sequence[Training]) -> list[dict[str, Scalar]]:
    """Return the parameters of the front of last accuracy and size."""
    values = np.array([(t.accuracy[-1] if t.accuracy else 0.0, t.costs["params"]) for t in trainings], float)
    members = non_dominated(values, ("max", "min"))
    return [training.params for training, is_member in zip(trainings, members, strict=True) if is_member]
