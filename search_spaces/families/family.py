"""A family: a search space with a name and a source."""

from dataclasses import dataclass

from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Family:
    """A named search space."""

    name: str
    summary: str
    # Where its networks come from.
    source: str
    space: SearchSpace
