"""What may be built: descriptions, exact costs, families, diagrams. Torch only in `modules`."""

from search_spaces.architecture import Architecture, Branch, Head, Stage
from search_spaces.cost import Cost, analyse
from search_spaces.errors import ArchitectureError, SearchSpaceError, SpaceError
from search_spaces.families import resolve_space
from search_spaces.graph import Graph
from search_spaces.lowering import lower
from search_spaces.random_trial import RandomTrial
from search_spaces.space import SearchSpace

__all__ = [
    "Architecture",
    "ArchitectureError",
    "Branch",
    "Cost",
    "Graph",
    "Head",
    "RandomTrial",
    "SearchSpace",
    "SearchSpaceError",
    "SpaceError",
    "Stage",
    "analyse",
    "lower",
    "resolve_space",
]
