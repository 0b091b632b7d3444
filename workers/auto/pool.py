"""The candidates that might be proposed next, kept from proposal to proposal."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.auto.candidates import Candidate, CandidateSource, Params
from workers.auto.features import FeatureMap

Matrix = NDArray[np.float64]
# So many stay, the most promising ones.
KEPT = 256
# How many join before each proposal: drawn at random, mutated, crossed.
DRAWN, MUTATED, CROSSED = 8, 18, 6
# So many draws without a new feasible candidate, and the space is taken for used up.
FRUITLESS_DRAWS = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate with its features."""

    candidate: Candidate
    features: Matrix

    @property
    def hash(self) -> str:
        return self.candidate.architecture.hash


class Pool:
    """Feasible candidates that nobody has proposed yet."""

    def __init__(
        self, source: CandidateSource, features: FeatureMap, first: Sequence[Candidate], seed: int
    ) -> None:
        self._source, self._features = source, features
        self._random = random.Random(seed)
        self._entries: dict[str, Entry] = {}
        # How many trials were known when the whole space seemed to hold nothing else.
        self._used_up_at: int | None = None
        for candidate in first:
            self._join(candidate, ())

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def forget(self, hashes: Collection[str]) -> None:
        """Take out what has become a trial."""
        for known in [key for key in self._entries if key in hashes]:
            del self._entries[known]

    def keep(self, promise: Matrix) -> None:
        """Keep the most promising ones; one figure for each entry, in their order."""
        if len(self._entries) > KEPT:
            order = np.argsort(-promise, kind="stable")[:KEPT]
            entries = self.entries
            self._entries = {entries[place].hash: entries[place] for place in sorted(order)}

    def grow(self, parents: Sequence[Params], known: Collection[str]) -> None:
        """Let new candidates join: some at random, the others descended from parents, if there are any.

        Args:
            parents: Parameters of what did well.
            known: Hashes of all trials; these stay out.
        """
        if self._used_up_at == len(known):
            return
        for _ in range(DRAWN):
            self._join(self._source.drawn(), known)
        for _ in range(MUTATED if parents else 0):
            self._join(self._source.mutated(self._random.choice(parents)), known)
        for _ in range(CROSSED if len(parents) > 1 else 0):
            self._join(self._source.crossed(*self._random.sample(list(parents), 2)), known)
        if not self._entries:
            self._search(known)
        self._used_up_at = None if self._entries else len(known)

    def _search(self, known: Collection[str]) -> None:
        """Look for a first feasible candidate downhill, and for others near it."""
        nearest = self._source.nearest()
        self._join(nearest, known)
        for _ in range(FRUITLESS_DRAWS if nearest.excess == 0.0 else 0):
            self._join(self._source.mutated(nearest.params), known)

    def _join(self, candidate: Candidate, known: Collection[str]) -> None:
        if candidate.excess > 0.0 or candidate.architecture.hash in known:
            return
        if candidate.architecture.hash not in self._entries:
            features = self._features(candidate.architecture, candidate.cost)
            self._entries[candidate.architecture.hash] = Entry(candidate, features)
