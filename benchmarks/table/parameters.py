"""The parameters of a search space as a flat list, for searchers that want one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.table.draws import CLASSES
from search_spaces import RandomTrial, SearchSpace
from search_spaces.random_trial import Scalar

DRAWS = 2000


class _Recorder(RandomTrial):
    """A random trial that remembers what it was asked."""

    def __init__(self, seed: int, choices: dict[str, tuple[Scalar, ...]]) -> None:
        super().__init__(seed)
        self._choices = choices

    def suggest_categorical(self, name, choices):  # type: ignore[no-untyped-def]  # as its base
        self._choices[name] = tuple(choices)
        return super().suggest_categorical(name, choices)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a space asks and what may be answered, by name in the order of the names."""

    choices: Mapping[str, tuple[Scalar, ...]]

    @classmethod
    def of(cls, space: SearchSpace, shape: Sequence[int]) -> "Parameters":
        """Return what was asked in `DRAWS` random draws; what is rarer than that is left out."""
        found: dict[str, tuple[Scalar, ...]] = {}
        for seed in range(DRAWS):
            space.sample(_Recorder(seed, found), shape, CLASSES)
        return cls({name: found[name] for name in sorted(found)})
